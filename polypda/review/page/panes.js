/**
 * One frame in one or two panes that move together: zoom, pan, and lines in screen pixels above the pixels. Own code and
 * no library: two panes with one view and strokes that keep their width are what libraries of this size do not have.
 */

/** @typedef {import("./types").Case} Case */
/** @typedef {import("./types").Line} Line */
/** @typedef {import("./types").Rule} Rule */
/** @typedef {import("./types").Rules} Rules */

const SVG = "http://www.w3.org/2000/svg";
const LARGEST = 12;
const STEP = 1.25;
/** Around a region that is shown smaller than this, lines get thinner so as not to bury it. */
const FULL_LINES_FROM_PX = 130;

class Pane {
  /** @param {HTMLElement} element @param {Panes} owner */
  constructor(element, owner) {
    this.element = element;
    this.canvas = /** @type {HTMLCanvasElement} */ (element.querySelector("canvas"));
    this.svg = /** @type {SVGSVGElement} */ (element.querySelector("svg"));
    this.group = document.createElementNS(SVG, "g");
    this.svg.append(this.group);
    element.addEventListener("wheel", (event) => owner.onWheel(event, this), { passive: false });
    element.addEventListener("pointerdown", (event) => owner.onDown(event, this));
    element.addEventListener("pointermove", (event) => owner.onMove(event, this));
    for (const name of ["pointerup", "pointercancel"]) {
      element.addEventListener(name, (event) => owner.onUp(/** @type {PointerEvent} */ (event)));
    }
    element.addEventListener("dblclick", () => owner.toggleScale());
  }

  /** @param {MouseEvent} event */
  point(event) {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }
}

export class Panes {
  /**
   * @param {HTMLElement[]} elements the panes; the last one has the lines
   * @param {Rules} rules @param {{ display: number, whole: number, thinnest: number }} widths
   * @param {() => void} onView called when the view has moved
   */
  constructor(elements, rules, widths, onView) {
    this.rules = rules;
    this.widths = widths;
    this.onView = onView;
    this.panes = elements.map((element) => new Pane(element, this));
    this.size = { width: 1, height: 1 };
    this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    /** @type {Map<number, { x: number, y: number }>} */
    this.pointers = new Map();
    /** @type {{ element: SVGPathElement, width: number, dash: number[] }[]} */
    this.strokes = [];
    this.region = Infinity;
    new ResizeObserver(() => this.refit()).observe(elements[elements.length - 1]);
  }

  get last() {
    return this.panes[this.panes.length - 1];
  }

  get shown() {
    return this.panes.filter((pane) => !pane.element.hidden);
  }

  /** Draw a decoded frame without lines. @param {HTMLImageElement} picture */
  setFrame(picture) {
    const same = picture.naturalWidth === this.size.width && picture.naturalHeight === this.size.height;
    this.size = { width: picture.naturalWidth, height: picture.naturalHeight };
    for (const pane of this.panes) {
      if (!same) {
        pane.canvas.width = this.size.width;
        pane.canvas.height = this.size.height;
      }
      pane.canvas.getContext("2d")?.drawImage(picture, 0, 0);
      pane.canvas.hidden = false;
    }
    this.fit();
  }

  setNothing() {
    for (const pane of this.panes) {
      pane.canvas.hidden = true;
      pane.group.replaceChildren();
    }
    this.strokes = [];
  }

  /**
   * Lay lines over the frame.
   * @param {Case} one @param {Set<Line>} lines which are seen
   */
  setLines(one, lines) {
    const rules = this.rules;
    /** @type {Array<[Rule, string]>} */
    const drawn = lines.size ? [[rules.field, one.field]] : []; // a frame without lines is left alone
    if (one.reference && lines.has("reference")) drawn.push([rules.reference, one.reference]);
    // Orange dashes lie on top of blue: where both agree both are seen.
    if (lines.has("two")) drawn.push([rules.after, one.two]);
    if (lines.has("one")) drawn.push([rules.before, one.one]);
    this.strokes = [];
    const parts = [];
    for (const [rule, path] of drawn) {
      if (!path) continue;
      const dash = rule.dash.length ? [rule.dash[0] + 2 * rule.casing, rule.dash[1] - 2 * rule.casing] : [];
      parts.push(this.path(path, rules.casing.colour, rule.width + 2 * rule.casing, dash, rules.casing.opacity));
      parts.push(this.path(path, rule.colour, rule.width, rule.dash, 1, rule.casing));
    }
    this.last.group.replaceChildren(...parts);
    this.region = extent([one.reference, one.one, one.two]);
    this.place();
  }

  /**
   * @param {string} path @param {string} colour @param {number} width @param {number[]} dash
   * @param {number} opacity @param {number} [shift] of the dashes, so that their casing surrounds them
   */
  path(path, colour, width, dash, opacity, shift = 0) {
    const element = document.createElementNS(SVG, "path");
    element.setAttribute("d", path);
    element.setAttribute("fill", "none");
    element.setAttribute("stroke", colour);
    element.setAttribute("stroke-opacity", String(opacity));
    element.setAttribute("stroke-linejoin", "round");
    element.setAttribute("vector-effect", "non-scaling-stroke");
    this.strokes.push({ element, width, dash: dash.length ? [...dash, shift] : [] });
    return element;
  }

  /** @param {boolean} hidden */
  hideLines(hidden) {
    this.last.svg.classList.toggle("hidden", hidden);
  }

  room() {
    const box = this.last.element.getBoundingClientRect();
    return { width: Math.max(1, box.width), height: Math.max(1, box.height) };
  }

  fitScale() {
    const room = this.room();
    return Math.min(room.width / this.size.width, room.height / this.size.height);
  }

  fit() {
    const scale = this.fitScale();
    const room = this.room();
    this.view = {
      scale,
      x: (room.width - this.size.width * scale) / 2,
      y: (room.height - this.size.height * scale) / 2,
    };
    this.fitted = true;
    this.place();
  }

  refit() {
    if (this.fitted) this.fit();
    else this.place();
  }

  /** Between the whole frame and one screen pixel for each of its own. */
  toggleScale() {
    if (!this.fitted) this.fit();
    else this.zoomTo(1 / window.devicePixelRatio);
  }

  /** @param {number} factor @param {{ x: number, y: number }} [about] of the pane; its middle unless given */
  zoomBy(factor, about) {
    this.zoomTo(this.view.scale * factor, about);
  }

  /** @param {number} scale @param {{ x: number, y: number }} [about] */
  zoomTo(scale, about) {
    const room = this.room();
    const { x, y } = about ?? { x: room.width / 2, y: room.height / 2 };
    const least = Math.min(this.fitScale() / 2, 1 / window.devicePixelRatio);
    const next = Math.min(LARGEST, Math.max(least, scale));
    const factor = next / this.view.scale;
    this.view = { scale: next, x: x - (x - this.view.x) * factor, y: y - (y - this.view.y) * factor };
    this.fitted = false;
    this.place();
  }

  /** @param {number} direction */
  step(direction) {
    this.zoomBy(STEP ** direction);
  }

  /** @param {number} x @param {number} y */
  panBy(x, y) {
    this.view.x += x;
    this.view.y += y;
    this.fitted = false;
    this.place();
  }

  /** Put canvas and lines where the view has them. The frame never leaves its pane wholly. */
  place() {
    const { width, height } = this.size;
    const room = this.room();
    const view = this.view;
    const margin = 40;
    view.x = Math.min(room.width - margin, Math.max(margin - width * view.scale, view.x));
    view.y = Math.min(room.height - margin, Math.max(margin - height * view.scale, view.y));
    for (const pane of this.shown) {
      pane.canvas.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
      pane.canvas.style.imageRendering = view.scale > 3 ? "pixelated" : "auto";
    }
    this.last.group.setAttribute("transform", `matrix(${view.scale} 0 0 ${view.scale} ${view.x} ${view.y})`);
    const whole = Math.min(1, Math.max(this.widths.whole, (Math.max(width, height) * view.scale) / this.widths.display));
    const small = (this.region * view.scale) / (FULL_LINES_FROM_PX * whole);
    const factor = whole * Math.min(1, Math.max(this.widths.thinnest, small));
    for (const { element, width: line, dash } of this.strokes) {
      element.setAttribute("stroke-width", String(line * factor));
      if (dash.length) {
        element.setAttribute("stroke-dasharray", `${dash[0] * factor} ${dash[1] * factor}`);
        element.setAttribute("stroke-dashoffset", String(-dash[2] * factor));
      }
    }
    this.onView();
  }

  /** @param {WheelEvent} event @param {Pane} pane */
  onWheel(event, pane) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), pane.point(event));
  }

  /** @param {PointerEvent} event @param {Pane} pane */
  onDown(event, pane) {
    if (event.button !== 0) return;
    pane.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, pane.point(event));
  }

  /** @param {PointerEvent} event @param {Pane} pane */
  onMove(event, pane) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = pane.point(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    this.pointers.set(event.pointerId, now);
    if (!others.length) {
      this.panBy(now.x - before.x, now.y - before.y);
      return;
    }
    const other = others[0];
    const former = Math.hypot(before.x - other.x, before.y - other.y);
    const present = Math.hypot(now.x - other.x, now.y - other.y);
    if (former > 0) this.zoomBy(present / former, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    this.pointers.delete(event.pointerId);
  }
}

/** The longer side of the first region that is there, in native px: lines are made for it. @param {(string | null)[]} paths */
function extent(paths) {
  for (const path of paths) {
    const values = path ? (path.match(/-?[\d.]+/g) ?? []).map(Number) : [];
    if (values.length < 4) continue;
    const xs = values.filter((_, place) => place % 2 === 0);
    const ys = values.filter((_, place) => place % 2 === 1);
    return Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  }
  return Infinity;
}
