/** The page: one case at a time, a key for each answer. */

import { Answers, isDecided, pageStorage } from "./answers.js";
import { Clock } from "./clock.js";
import { listenToControls, setLanguage } from "./controls.js";
import { at } from "./elements.js";
import { Pictures } from "./frames.js";
import { listenToLeaving } from "./handing.js";
import { leaveNote, takeTime } from "./judging.js";
import { listenToKeys } from "./keyboard.js";
import { Panes } from "./panes.js";
import { CaseList, filtered, ordered } from "./queue.js";
import { exported, imported } from "./record.js";
import { Server } from "./server.js";
import { announce, tellAll, tellAnswer, tellCase, tellProgress, tellScale } from "./telling.js";
import { Words } from "./words.js";

/** @typedef {import("./types").Case} Case */
/** @typedef {import("./types").Decision} Decision */
/** @typedef {import("./types").Line} Line */
/** @typedef {import("./types").PageData} PageData */
/** @typedef {import("./types").Preference} Preference */
/** @typedef {import("./server").Session} Session */

const SETTINGS = "polypda-review-settings";

/** The title of lines without a reference among them. @param {string} title */
function shorter(title) {
  return title === "only_both" ? "models_both" : title;
}

export class Page {
  /** @param {PageData} data */
  constructor(data) {
    this.data = data;
    this.storage = pageStorage();
    this.answers = new Answers(data.review, this.storage);
    const settings = this.readSettings();
    this.words = new Words(data.words, settings.language);
    this.sideBySide = settings.sideBySide;
    this.advance = settings.advance;
    this.pictures = new Pictures(new Map(data.cases.map((one) => [one.image, one.shown_sha256])));
    this.clock = new Clock();
    this.server = new Server();
    this.list = new CaseList(at("cases"), this.words, (id) => this.open(id));
    const widths = { display: data.line_display_px, whole: data.thinnest_whole, thinnest: data.thinnest_lines };
    this.panes = new Panes([at("plain"), at("lined")], data.rules, widths, () => tellScale(this));
    /** @type {Record<string, string>} */
    this.facets = {};
    this.state = "";
    this.order = "handed";
    this.all = ordered(data.cases, this.order);
    this.shown = this.all;
    this.current = this.all[0];
    this.ready = false;
    /** Whether no case fits the filter: nothing is shown then. */
    this.empty = false;
    this.revealed = false;
    /** Cases whose lines were looked at. @type {Set<string>} */
    this.seen = new Set();
    this.hidden = false;
    /** @type {"both" | "one" | "two"} */
    this.blink = "both";
    /** @type {Set<Line>} */
    this.lines = new Set(["reference", "one", "two"]);
    this.noteBefore = this.answers.of(this.current.case);
    this.asked = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.fading = undefined;
    /** @type {boolean | null} */
    this.onDisk = null;
    this.answers.listeners.push(() => this.saveToServer());
  }

  readSettings() {
    const language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
    const usual = { language, sideBySide: true, advance: true };
    try {
      return { ...usual, ...JSON.parse(this.storage?.getItem(SETTINGS) ?? "{}") };
    } catch {
      return usual;
    }
  }

  keepSettings() {
    const settings = { language: this.words.language, sideBySide: this.sideBySide, advance: this.advance };
    try {
      this.storage?.setItem(SETTINGS, JSON.stringify(settings));
    } catch {
      // a full store costs the settings, never an answer
    }
  }

  async start() {
    await this.joinServer();
    document.body.classList.toggle("blinded", this.data.blinded);
    document.body.classList.toggle("unreferenced", !this.data.referenced);
    document.body.classList.toggle("lone", this.data.models.before === "");
    at("phantom").hidden = !this.data.phantom;
    listenToControls(this);
    listenToKeys(this);
    listenToLeaving(this);
    this.setLayout(this.sideBySide);
    setLanguage(this, this.words.language);
    const undecided = this.all.find((one) => !isDecided(this.answers.of(one.case)));
    this.open((undecided ?? this.all[0]).case);
    if (!this.answers.saved.reviewer) at("welcome").setAttribute("open", "");
    document.documentElement.dataset.ready = "true";
  }

  async joinServer() {
    const session = await this.server.session().catch(() => null);
    if (!session) return;
    this.answers.ofReviewer(session.reviewer);
    await this.takeIn(session).catch(() => false);
    this.answers.setReviewer(session.reviewer);
    at("reviewer").setAttribute("readonly", "");
    window.addEventListener("focus", () => void this.meetOnDisk().catch(() => false));
  }

  /**
   * Take in answers from the server's disk beside those of here; tells whether anything is said anew.
   * @param {Session} session @throws {Error} where they cannot be read
   */
  async takeIn(session) {
    const saved = session.saved ? await imported(session.saved, this.data) : null;
    this.server.revision = session.revision;
    return saved !== null && this.answers.join({ ...saved, exported: null });
  }

  /** Take in what another browser has saved since; false where it cannot be read. */
  async meetOnDisk() {
    const session = await this.server.session();
    if (!session) return false;
    if (session.revision === this.server.revision) return true;
    takeTime(this);
    if (await this.takeIn(session)) {
      at("elsewhere").hidden = false;
      this.metElsewhere();
    }
    return true;
  }

  saveToServer() {
    this.server.save(
      () => exported(this.data, this.answers.saved),
      (saved) => {
        this.onDisk = saved;
        tellProgress(this);
      },
      () => this.meetOnDisk(),
    );
  }

  // ------------------------------------------------------------------------------------------------ one case

  /** @param {string} id */
  open(id) {
    const one = this.data.cases.find((each) => each.case === id);
    if (!one) return;
    const began = performance.now();
    leaveNote();
    this.answers.addTime(this.current.case, this.clock.take());
    this.current = one;
    this.ready = false;
    this.empty = false;
    this.blink = "both";
    this.revealed = this.seen.has(id) || isDecided(this.answers.of(id)); // else the frame comes first, without lines
    at("trouble").hidden = true;
    document.documentElement.dataset.decoded = "";
    tellCase(this);
    this.asked += 1;
    const asked = this.asked;
    this.pictures.get(one.image).then(
      (picture) => {
        if (asked !== this.asked) return;
        if (picture.naturalWidth !== one.width_px || picture.naturalHeight !== one.height_px) {
          this.fail("frame_failed", one.image); // another frame's file
          return;
        }
        this.panes.setFrame(picture);
        this.ready = true;
        this.drawLines();
        this.clock.take();
        document.documentElement.dataset.decoded = one.case;
        tellAnswer(this);
        this.lookAhead();
        requestAnimationFrame(() => performance.measure("case-shown", { start: began }));
      },
      () => asked === this.asked && this.fail("frame_failed", one.image),
    );
    this.drawUncertainty();
  }

  /** Show no frame but why. @param {string} reason @param {string} [file] */
  fail(reason, file = "") {
    this.ready = false;
    this.panes.setNothing();
    at("trouble").hidden = false;
    at("trouble").dataset.reason = reason;
    at("trouble").textContent = this.words.say(reason, { file });
    document.documentElement.dataset.decoded = "failed";
    this.drawLines();
    tellAnswer(this);
  }

  /** No case fits the filter: none is shown, none can be answered. */
  showNone() {
    if (this.empty) return;
    leaveNote();
    this.answers.addTime(this.current.case, this.clock.take());
    this.empty = true;
    this.asked += 1; // a frame that is still being decoded comes too late
    this.fail("no_case_fits");
    tellCase(this);
    this.drawUncertainty();
  }

  lookAhead() {
    const place = this.all.indexOf(this.current);
    const near = [1, 2, 3, -1].map((step) => this.all[place + step]);
    this.pictures.ahead(near.map((one) => one?.image));
    this.pictures.ahead(near.slice(0, 1).map((one) => one?.uncertainty?.two));
  }

  drawLines() {
    const shown = this.revealed && this.ready;
    if (shown) this.seen.add(this.current.case);
    const lines = new Set(shown ? this.lines : []);
    if (this.blink !== "both") {
      lines.delete("one");
      lines.delete("two");
      if (shown) lines.add(this.blink);
    }
    this.panes.setLines(this.current, lines);
    this.panes.hideLines(this.hidden);
    const title = !this.revealed ? "no_lines_yet" : this.hidden ? "lines_hidden" : `only_${this.blink}`;
    const empty = this.current.reference === "" && title === "only_both";
    const none = empty ? `${this.words.say("no_polyp")} · ` : "";
    at("lined-title").textContent = none + this.words.say(this.named(empty || this.current.reference === null ? shorter(title) : title));
    at("lined").classList.toggle("unrevealed", !this.revealed);
    at("lined-title").hidden = !this.ready;
    const hide = /** @type {HTMLElement} */ (at("hide").querySelector("span"));
    hide.dataset.say = this.revealed ? "hide" : "show";
    hide.textContent = this.words.say(hide.dataset.say);
    document.documentElement.dataset.lines = String(shown);
    at("blink").setAttribute("aria-pressed", String(this.blink !== "both"));
    for (const line of /** @type {Line[]} */ (["reference", "one", "two"])) {
      const box = at(`line-${line}`);
      box.setAttribute("aria-pressed", String(lines.has(line) && !this.hidden));
    }
  }

  /** The words of a blinded review do not say before and after. @param {string} name */
  named(name) {
    if (!/(one|two|both)$/.test(name)) return name;
    return this.data.blinded ? `${name}_blinded` : this.data.models.before === "" ? `${name}_lone` : name;
  }

  drawUncertainty() {
    const names = this.current.uncertainty;
    const side = this.blink === "one" ? "one" : "two";
    const canvas = /** @type {HTMLCanvasElement} */ (at("uncertainty-map"));
    at("uncertainty").hidden = !names || this.empty;
    if (!names || this.empty) return;
    at("uncertainty-title").textContent = this.words.say("uncertainty_of", {
      which: this.words.say(this.named(`name_${side}`)),
    });
    const asked = this.asked;
    this.pictures.get(names[side]).then(
      (picture) => {
        if (asked !== this.asked) return;
        canvas.width = picture.naturalWidth;
        canvas.height = picture.naturalHeight;
        canvas.getContext("2d")?.drawImage(picture, 0, 0);
      },
      () => {
        at("uncertainty").hidden = true;
      },
    );
  }

  // ------------------------------------------------------------------------------------------------ moving

  /** @param {number} step */
  move(step) {
    const shown = new Set(filtered(this.all, this.facets, this.state, this.answers));
    let place = this.all.indexOf(this.current) + step;
    while (place >= 0 && place < this.all.length && !shown.has(this.all[place])) place += step;
    const next = this.all[place];
    if (next) this.open(next.case);
    else if (!shown.size) {
      tellAll(this);
      this.showNone();
    } else {
      tellAll(this);
      announce(this, step > 0 ? "last_case" : "first_case");
    }
  }

  /** @param {number} place */
  jump(place) {
    const one = this.shown.at(place);
    if (one) this.open(one.case);
  }

  refilter() {
    this.all = ordered(this.data.cases, this.order);
    tellAll(this);
    if (!this.shown.length) this.showNone();
    else if (this.empty || !this.shown.includes(this.current)) this.open(this.shown[0].case);
  }

  /** Another window changed answers, or the name: tell what holds now. */
  metElsewhere() {
    /** @type {HTMLInputElement} */ (at("reviewer")).value = this.answers.saved.reviewer;
    tellAll(this);
    announce(this, "met_elsewhere");
  }

  // ------------------------------------------------------------------------------------------------ looking

  reveal() {
    if (!this.ready) return;
    this.revealed = true;
    this.drawLines();
  }

  /** @param {boolean} hidden */
  hide(hidden) {
    if (this.hidden === hidden) return;
    this.hidden = hidden;
    this.drawLines();
  }

  nextBlink() {
    if (!this.ready) return;
    this.revealed = true;
    this.blink = this.blink === "one" ? "two" : "one";
    this.drawLines();
    this.drawUncertainty();
  }

  allLines() {
    if (!this.ready) return;
    this.revealed = true;
    this.blink = "both";
    this.lines = new Set(["reference", "one", "two"]);
    this.drawLines();
    this.drawUncertainty();
  }

  /** @param {Line} line */
  toggleLine(line) {
    if (!this.ready) return;
    this.revealed = true;
    this.blink = "both";
    if (!this.lines.delete(line)) this.lines.add(line);
    this.drawLines();
  }

  /** @param {boolean} sideBySide */
  setLayout(sideBySide) {
    this.sideBySide = sideBySide;
    at("plain").hidden = !sideBySide;
    at("panes").classList.toggle("single", !sideBySide);
    at("layout").setAttribute("aria-pressed", String(sideBySide));
    this.panes.refit();
    this.drawLines();
    this.keepSettings();
  }
}

const held = /** @type {HTMLElement} */ (document.getElementById("data"));
void new Page(/** @type {PageData} */ (JSON.parse(held.textContent ?? ""))).start();
