/** Which cases are shown, in which order, and the list of them. */

import { isDecided } from "./answers.js";

/** @typedef {import("./types").Case} Case */
/** @typedef {import("./types").Answer} Answer */
/** @typedef {import("./answers").Answers} Answers */
/** @typedef {import("./words").Words} Words */

export const SYMBOLS = { accept: "✓", reject: "✗", flag: "⚑" };
export const ROW_PX = 34;
const BEYOND = 6;

/** The size of what is not there. */
export const NO_POLYP = "no_polyp";

/** A reference without a polyp has no size, but is known to have none. @param {Case} one */
export function sizeOf(one) {
  const clean = ["false_alarm", "clean"].includes(one.figures?.outcome_after ?? "");
  return one.figures?.size || (clean ? NO_POLYP : "");
}

/** What can be filtered by: name → what a case says. @type {Record<string, (one: Case) => string>} */
export const FACETS = {
  run: (one) => one.run,
  centre: (one) => one.centre || one.cohort,
  size: sizeOf,
  device: (one) => one.device,
  mode: (one) => one.mode,
  outcome: (one) => one.figures?.outcome_after ?? "",
  patient: (one) => one.patient,
};

/** Ways to order: name → what comes first is smallest. @type {Record<string, (one: Case) => number | string>} */
export const ORDERS = {
  handed: (one) => one.number,
  worst: (one) => one.values.worth_after,
  improved: (one) => one.values.worth_before - one.values.worth_after,
  harmed: (one) => one.values.worth_after - one.values.worth_before,
  disagreement: (one) => -one.values.disagreement,
  uncertain: (one) => -one.values.uncertainty,
  random: (one) => one.case, // ids are hashes: the same shuffle for everybody
  name: (one) => `${one.cohort}/${one.frame}`,
};

/** @param {Case[]} cases @param {string} order */
export function ordered(cases, order) {
  const value = ORDERS[order] ?? ORDERS.handed;
  return [...cases].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return a.number - b.number;
    if (typeof x === "number" && Number.isNaN(x)) return 1;
    if (typeof y === "number" && Number.isNaN(y)) return -1;
    return x < y ? -1 : 1;
  });
}

/** Whether an order says anything of these cases. @param {Case[]} cases @param {string} order */
export function hasOrder(cases, order) {
  return cases.some((one) => {
    const value = ORDERS[order](one);
    return typeof value === "string" || Number.isFinite(value);
  });
}

/**
 * @param {Case[]} cases @param {Record<string, string>} wanted facet → value; "" for all
 * @param {string} state undecided, accept, reject, flag or "" @param {Answers} answers
 */
export function filtered(cases, wanted, state, answers) {
  return cases.filter((one) => {
    for (const [facet, value] of Object.entries(wanted)) {
      if (value && FACETS[facet](one) !== value) return false;
    }
    if (!state) return true;
    const answer = answers.of(one.case);
    return state === "undecided" ? !isDecided(answer) : answer.decision === state;
  });
}

/** The list: only the rows that can be seen are in the page, so that thousands cost nothing. */
export class CaseList {
  /**
   * @param {HTMLElement} element a scrolling listbox @param {Words} words
   * @param {(id: string) => void} onChoose
   */
  constructor(element, words, onChoose) {
    this.element = element;
    this.words = words;
    this.onChoose = onChoose;
    this.space = document.createElement("div");
    this.space.setAttribute("role", "presentation");
    this.space.className = "space";
    element.append(this.space);
    /** @type {Case[]} */
    this.cases = [];
    this.current = "";
    /** @type {Answers | null} */
    this.answers = null;
    element.addEventListener("scroll", () => this.draw());
    element.addEventListener("click", (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest("[data-case]");
      if (row) this.onChoose(/** @type {HTMLElement} */ (row).dataset.case ?? "");
    });
    new ResizeObserver(() => this.draw()).observe(element);
  }

  /** @param {Case[]} cases @param {string} current @param {Answers} answers */
  show(cases, current, answers) {
    this.cases = cases;
    this.answers = answers;
    this.current = current;
    this.space.style.height = `${cases.length * ROW_PX}px`;
    const place = cases.findIndex((one) => one.case === current);
    const top = place * ROW_PX;
    const { scrollTop, clientHeight } = this.element;
    if (place >= 0 && (top < scrollTop || top + ROW_PX > scrollTop + clientHeight)) {
      this.element.scrollTop = Math.max(0, top - clientHeight / 3);
    }
    this.draw();
  }

  draw() {
    if (!this.answers) return;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - BEYOND);
    const last = Math.min(this.cases.length, Math.ceil((scrollTop + clientHeight) / ROW_PX) + BEYOND);
    const rows = [];
    for (let place = first; place < last; place += 1) rows.push(this.row(this.cases[place], place));
    this.space.replaceChildren(...rows);
    const active = this.space.querySelector("[aria-selected=true]");
    if (active) this.element.setAttribute("aria-activedescendant", active.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  /** @param {Case} one @param {number} place */
  row(one, place) {
    const answer = /** @type {Answers} */ (this.answers).of(one.case);
    const row = document.createElement("div");
    row.id = `row-${one.case}`;
    row.className = `row ${answer.decision ?? "open"}`;
    row.dataset.case = one.case;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(one.case === this.current));
    row.setAttribute("aria-setsize", String(this.cases.length));
    row.setAttribute("aria-posinset", String(place + 1));
    row.style.top = `${place * ROW_PX}px`;
    const state = this.words.say(answer.decision ?? "undecided");
    const symbol = document.createElement("span");
    symbol.className = "symbol";
    symbol.setAttribute("role", "img");
    symbol.setAttribute("aria-label", state);
    symbol.textContent = answer.decision ? SYMBOLS[answer.decision] : "·";
    const number = document.createElement("span");
    number.className = "number";
    number.textContent = String(one.number);
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = one.frame;
    row.append(symbol, number, name);
    row.title = `${one.cohort} · ${one.frame}`;
    return row;
  }
}
