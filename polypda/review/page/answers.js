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

/** What an answer says, whenever it was given. @param {Answer} answer */
function said({ decision, reasons, note, preference }) {
  return JSON.stringify([decision, reasons, note, preference]);
}

/** All that is said, in one text. @param {Saved} saved */
function saying(saved) {
  const answers = Object.entries(saved.answers).filter(([, answer]) => isSaid(answer));
  return JSON.stringify(answers.map(([id, answer]) => [id, said(answer)]).sort());
}

export class Answers {
  /** @param {string} review @param {Storage | null} storage */
  constructor(review, storage) {
    this.key = `polypda-review:${review}`;
    this.storage = storage;
    this.kept = storage !== null;
    /** @type {Saved} */
    this.saved = nothing();
    /** What this window last read or wrote: another text is another window's. @type {string | null} */
    this.known = null;
    /** @type {Array<() => void>} */
    this.listeners = [];
    this.read();
  }

  /** Keep the answers of one reviewer apart from those of others at the same address. @param {string} reviewer */
  ofReviewer(reviewer) {
    this.key = `${this.key}:${reviewer}`;
    this.saved = { ...nothing(), reviewer };
    this.read();
  }

  read() {
    try {
      this.known = this.storage?.getItem(this.key) ?? null;
      if (this.known) this.saved = { ...this.saved, ...JSON.parse(this.known) };
    } catch {
      this.kept = false;
    }
  }

  /** Take in what another window has written since; tells whether there was anything. */
  meet() {
    try {
      const text = this.storage?.getItem(this.key) ?? null;
      if (!text || text === this.known) return false;
      this.saved = met(this.saved, { ...nothing(), ...JSON.parse(text) });
      this.known = text;
      return true;
    } catch {
      return false; // what cannot be read is written anew from here
    }
  }

  /** Keep everything, beside what other windows kept; `kept` tells whether the browser took it. */
  keep() {
    const { reviewer, history } = this.saved;
    if (this.meet()) this.saved = { ...this.saved, reviewer, history };
    this.write();
  }

  /** @param {boolean} tell whether there is something to save elsewhere */
  write(tell = true) {
    try {
      this.known = JSON.stringify(this.saved);
      this.storage?.setItem(this.key, this.known);
      this.kept = this.storage !== null;
    } catch {
      this.kept = false;
    }
    if (tell) for (const listener of this.listeners) listener();
  }

  /** @param {string} id @returns {Answer} */
  of(id) {
    return this.saved.answers[id] ?? noAnswer();
  }

  /**
   * Change an answer; the former one can be taken back, after a reload too.
   * @param {string} id @param {Partial<Answer>} change @param {Answer} [before] what undoing brings back
   */
  change(id, change, before = this.of(id)) {
    this.saved.history = [...this.saved.history, { case: id, before }].slice(-MOST_UNDONE);
    this.put(id, { ...this.of(id), ...change });
  }

  /** Forget what was said of a case; its reading time stays. @param {string} id */
  clear(id) {
    this.change(id, { decision: null, reasons: [], note: "", preference: null });
  }

  /** Take the last change back. @returns {string | null} its case */
  undo() {
    const last = this.saved.history.pop();
    if (!last) return null;
    this.put(last.case, { ...last.before, ms: this.of(last.case).ms });
    return last.case;
  }

  /** @param {string} id @param {Answer} answer */
  put(id, answer) {
    this.saved.answers[id] = { ...answer, decided: new Date().toISOString() };
    this.saved.changed = true;
    this.keep();
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

  /**
   * Take in what the server has; an answer that gave way to a newer one can be brought back.
   * @param {Saved} saved @returns {boolean} whether anything else is said now
   */
  join(saved) {
    const gone = Object.entries(this.saved.answers).flatMap(([id, here]) => {
      const there = saved.answers[id];
      if (!there || said(here) === said(there)) return [];
      const before = (there.decided ?? "") > (here.decided ?? "") ? here : there;
      return isSaid(before) ? [{ case: id, before }] : [];
    });
    const history = [...this.saved.history, ...gone].slice(-MOST_UNDONE);
    const here = saying(this.saved);
    this.saved = met(this.saved, { ...saved, history });
    const now = saying(this.saved);
    this.write(now !== saying(saved));
    return now !== here;
  }

  /** Take answers from a file in place of these, in every window. @param {Saved} saved */
  replace(saved) {
    this.saved = { ...saved, loaded: new Date().toISOString() };
    this.write();
  }
}

/** @returns {Saved} */
function nothing() {
  return { reviewer: "", exported: null, loaded: null, answers: {}, history: [], changed: false };
}

/**
 * The answers of two windows: of each case the newest, and the longer reading time.
 * @param {Saved} here @param {Saved} there what another window wrote last: its name and its history count
 * @returns {Saved}
 */
export function met(here, there) {
  const loaded = later(here.loaded, there.loaded);
  const answers = standing(there, loaded);
  for (const [id, answer] of Object.entries(standing(here, loaded))) {
    const other = answers[id];
    const newest = other && (other.decided ?? "") > (answer.decided ?? "") ? other : answer;
    answers[id] = { ...newest, ms: Math.max(answer.ms, other?.ms ?? 0) };
  }
  const exported = later(here.exported, there.exported);
  const changed = Object.values(answers).some((answer) => (answer.decided ?? "") > (exported ?? ""));
  return { reviewer: there.reviewer || here.reviewer, exported, loaded, answers, history: there.history, changed };
}

/** A window's answers; where another loaded a file since, only those that are newer. @param {Saved} saved @param {string | null} loaded */
function standing(saved, loaded) {
  const all = Object.entries(saved.answers);
  const ownFile = saved.loaded === loaded;
  return Object.fromEntries(ownFile ? all : all.filter(([, answer]) => (answer.decided ?? "") > (loaded ?? "")));
}

/** @param {string | null} one @param {string | null} other */
function later(one, other) {
  return (one ?? "") > (other ?? "") ? one : other;
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
