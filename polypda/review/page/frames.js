/** Frames and uncertainty maps: fetched from beside the page or from within it, decoded ahead, a few kept. */

const KEPT = 12;

export class Pictures {
  constructor() {
    /** @type {Map<string, Promise<HTMLImageElement>>} */
    this.known = new Map();
  }

  /**
   * A picture, decoded. Rejects where it is missing, was copied by half, or is damaged.
   * @param {string} name @returns {Promise<HTMLImageElement>}
   */
  get(name) {
    const known = this.known.get(name);
    if (known) {
      this.known.delete(name); // the latest is last
      this.known.set(name, known);
      return known;
    }
    const picture = new Image();
    picture.decoding = "async";
    picture.src = address(name);
    const decoded = picture.decode().then(() => {
      if (!picture.naturalWidth) throw new Error(name);
      return picture;
    });
    decoded.catch(() => this.known.delete(name)); // it is asked for anew the next time
    this.known.set(name, decoded);
    for (const oldest of this.known.keys()) {
      if (this.known.size <= KEPT) break;
      this.known.delete(oldest);
    }
    return decoded;
  }

  /** Decode what comes next. @param {Array<string | undefined>} names */
  ahead(names) {
    for (const name of names) if (name) this.get(name).catch(() => undefined);
  }
}

/**
 * Where a picture is: inside the page, or a file beside it, whose SVG no browser shows in part.
 * @param {string} name
 */
function address(name) {
  const inside = document.getElementById(`file:${name}`);
  if (!inside) return name.split("/").map(encodeURIComponent).join("/");
  const kind = name.endsWith(".jpg") ? "jpeg" : "png";
  return `data:image/${kind};base64,${(inside.textContent ?? "").trim()}`;
}
