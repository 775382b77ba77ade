/** The reviewer's answers: kept in the browser after each change, so that a reload or a crash loses nothing. */

/** @typedef {import("./types").Answer} Answer */
/** @typedef {import("./types").Saved} Saved */

export const REASONS = ["missed", "false_positive", "too_large", "too_small", "artefact", "unusable"];
/** What the keys of a blinded review mean. @type {Record<string, import("./types").Preference>} */
export const PREFERENCES = { prefer_a: "a", prefer_same: "same", prefer_b: "b" };
const MOST_UNDONE = 200;

/** @returns {Answer} */
export function noAnswer() {
  return { decision: null, reasons: [], note: "", preference: null, ms: 0, decided: null };
}

/** Whether a case was judged. @param {Answer | undefined} answer */
export function isDecided(answer) {
  return answer !== undefined && answer.decision !== null;
}

/** Whether anything was said of a case that another file would overwrite. @param {Answer} answer */
export function isSaid(answer) {
  return isDecided(answer) || answer.preference !== null || answer.note.trim() !== "";
}

export class Answers {
  /** @param {string} review @param {Storage | null} storage */
  constructor(review, storage) {
    this.key = `polypda-review:${review}`;
    this.storage = storage;
    this.kept = storage !== null;
    /** @type {Saved} */
    this.saved = { reviewer: "", exported: null, answers: {}, changed: false };
    /** @type {Array<{ case: string, before: Answer }>} */
    this.history = [];
    /** @type {Array<() => void>} */
    this.listeners = [];
    this.read();
  }

  /** Keep the answers of one reviewer apart from those of others at the same address. @param {string} reviewer */
  ofReviewer(reviewer) {
    this.key = `${this.key}:${reviewer}`;
    this.saved = { reviewer, exported: null, answers: {}, changed: false };
    this.read();
  }

  read() {
    try {
      const text = this.storage?.getItem(this.key);
      if (text) this.saved = { ...this.saved, ...JSON.parse(text) };
    } catch {
      this.kept = false;
    }
  }

  /** Keep everything; `kept` tells whether the browser took it. */
  keep() {
    try {
      this.storage?.setItem(this.key, JSON.stringify(this.saved));
      this.kept = this.storage !== null;
    } catch {
      this.kept = false;
    }
    for (const listener of this.listeners) listener();
  }

  /** @param {string} id @returns {Answer} */
  of(id) {
    return this.saved.answers[id] ?? noAnswer();
  }

  /**
   * Change an answer; the former one can be taken back.
   * @param {string} id @param {Partial<Answer>} change
   */
  change(id, change) {
    const before = this.of(id);
    this.history.push({ case: id, before });
    if (this.history.length > MOST_UNDONE) this.history.shift();
    const decided = new Date().toISOString();
    this.saved.answers[id] = { ...before, ...change, decided };
    this.saved.changed = true;
    this.keep();
  }

  /** Forget what was said of a case; its reading time stays. @param {string} id */
  clear(id) {
    this.change(id, { decision: null, reasons: [], note: "", preference: null });
  }

  /** Take the last change back. @returns {string | null} its case */
  undo() {
    const last = this.history.pop();
    if (!last) return null;
    this.saved.answers[last.case] = { ...last.before, ms: this.of(last.case).ms };
    this.saved.changed = true;
    this.keep();
    return last.case;
  }

  /** Add reading time; it is written with the next change. @param {string} id @param {number} ms */
  addTime(id, ms) {
    if (ms < 1) return;
    const answer = this.of(id);
    this.saved.answers[id] = { ...answer, ms: answer.ms + Math.round(ms) };
  }

  /** @param {string} reviewer */
  setReviewer(reviewer) {
    this.saved.reviewer = reviewer;
    this.keep();
  }

  /** @param {string} when */
  markExported(when) {
    this.saved.exported = when;
    this.saved.changed = false;
    this.keep();
  }

  /** Take answers from a file or from the server in place of these. @param {Saved} saved */
  replace(saved) {
    this.saved = saved;
    this.history = [];
    this.keep();
  }
}

/** Where the browser keeps things for this page; null where it does not. @returns {Storage | null} */
export function pageStorage() {
  try {
    window.localStorage.setItem("polypda-review-test", "1");
    window.localStorage.removeItem("polypda-review-test");
    return window.localStorage;
  } catch {
    return null;
  }
}
