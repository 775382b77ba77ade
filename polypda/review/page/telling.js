/** What the page tells: the case, the answer to it, how far the review has come. */

import { isDecided, noAnswer, PREFERENCES, REASONS } from "./answers.js";
import { at } from "./elements.js";
import { filtered, NO_POLYP, sizeOf, SYMBOLS } from "./queue.js";

/** @typedef {import("./main").Page} Page */
/** @typedef {import("./types").Decision} Decision */

/** What says whether there is a polyp, or how good the outlines are: seen together with them. */
const LATER = ["size", "dice", "outcome", "why"];

/** @param {Page} page */
export function tellAll(page) {
  tellAnswer(page);
  tellProgress(page);
  tellList(page);
}

/** @param {Page} page */
export function tellCase(page) {
  const one = page.current;
  const say = page.words.say.bind(page.words);
  const place = page.all.indexOf(one) + 1;
  at("case-title").textContent = page.empty ? say("no_case") : say("case_of", { place, count: page.all.length });
  /** @type {Array<[string, string]>} */
  const facts = [
    ["frame", `${one.cohort} · ${one.frame}`],
    ["run", page.data.runs.length > 1 ? one.run : ""],
    ["patient", one.patient],
    ["sequence", one.sequence],
    ["device", [one.centre, one.device].filter(Boolean).join(" · ")],
    ["mode", one.mode],
    ["size", sizeOf(one) === NO_POLYP ? say("size_none") : sizeOf(one)],
    ["dice", diceText(page)],
    ["outcome", outcomeText(page)],
    ["why", one.why ? say(`order_${one.why}`) : ""],
  ];
  const rows = facts.filter(([, value]) => value && !page.empty).flatMap(([name, value]) => {
    const term = document.createElement("dt");
    term.textContent = say(`fact_${name}`);
    const text = document.createElement("dd");
    text.textContent = value;
    for (const part of [term, text]) part.classList.toggle("later", LATER.includes(name));
    return [term, text];
  });
  at("facts").replaceChildren(...rows);
  for (const [id, name] of [["plain-canvas", "frame_plain"], ["lined-canvas", "frame_lined"]]) {
    at(id).setAttribute("aria-label", say(page.empty ? "no_case" : name, { frame: one.frame }));
  }
  tellAll(page);
}

/** @param {Page} page */
export function diceText(page) {
  const figures = page.current.figures;
  if (figures?.dice_before == null || figures.dice_after == null) return "";
  return `${figures.dice_before.toFixed(2)} → ${figures.dice_after.toFixed(2)}`;
}

/** @param {Page} page */
export function outcomeText(page) {
  const figures = page.current.figures;
  if (!figures?.outcome_after) return "";
  const [before, after] = [figures.outcome_before, figures.outcome_after].map((name) => page.words.say(`outcome_${name}`));
  return `${before} → ${after}`;
}

/** @param {Page} page */
export function tellAnswer(page) {
  const answer = page.empty ? noAnswer() : page.answers.of(page.current.case);
  for (const decision of /** @type {Decision[]} */ (["accept", "reject", "flag"])) {
    at(decision).setAttribute("aria-pressed", String(answer.decision === decision));
  }
  REASONS.forEach((reason, place) => {
    at(`reason-${place}`).setAttribute("aria-pressed", String(answer.reasons.includes(reason)));
  });
  for (const preference of Object.values(PREFERENCES)) {
    at(`prefer-${preference}`).setAttribute("aria-pressed", String(answer.preference === preference));
  }
  const note = /** @type {HTMLTextAreaElement} */ (at("note"));
  if (document.activeElement !== note) note.value = answer.note;
  for (const pane of ["plain", "lined"]) at(pane).dataset.decision = answer.decision ?? "";
  at("verdict").textContent = answer.decision ? `${SYMBOLS[answer.decision]} ${page.words.say(answer.decision)}` : "";
  at("answers").classList.toggle("waiting", !page.ready);
  at("panes").classList.toggle("waiting", !page.ready);
  /** @type {HTMLTextAreaElement} */ (at("note")).disabled = page.empty;
  document.documentElement.dataset.answer = answer.decision ?? "";
}

/** @param {Page} page */
export function tellProgress(page) {
  const say = page.words.say.bind(page.words);
  const all = page.data.cases.map((one) => page.answers.of(one.case));
  const decided = all.filter(isDecided);
  const flagged = all.filter((answer) => answer.decision === "flag").length;
  const parts = [`${decided.length}/${all.length}`];
  if (flagged) parts.push(say("flagged_count", { count: flagged }));
  const { exported: when, changed } = page.answers.saved;
  const clock = when ? new Date(when).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false }) : "";
  if (when) parts.push(say(changed ? "exported_before" : "exported_at", { time: clock }));
  else if (decided.length) parts.push(say("not_exported"));
  at("progress").textContent = parts.join(" · ");
  at("bar").style.width = `${(100 * decided.length) / all.length}%`;
  const times = decided.map((answer) => answer.ms / 1000);
  const total = times.reduce((sum, time) => sum + time, 0);
  at("times").textContent = times.length
    ? say("reading_time", { mean: (total / times.length).toFixed(1), minutes: (total / 60).toFixed(1) })
    : "";
  const unkept = !page.answers.kept || page.onDisk === false;
  at("unkept").hidden = !unkept;
  document.body.classList.toggle("unexported", changed);
}

/** @param {Page} page */
export function tellList(page) {
  page.shown = filtered(page.all, page.facets, page.state, page.answers);
  page.list.show(page.shown, page.empty ? "" : page.current.case, page.answers);
  at("count").textContent = page.words.say("cases_shown", { shown: page.shown.length, count: page.all.length });
  const narrowed = page.state !== "" || Object.values(page.facets).some(Boolean);
  at("all-cases").hidden = !narrowed;
}

/** @param {Page} page */
export function tellScale(page) {
  const percent = Math.round(page.panes.view.scale * window.devicePixelRatio * 100);
  at("scale-now").textContent = `${percent} %`;
  at("scale").setAttribute("aria-pressed", String(page.panes.fitted));
}

/** Say it in words, for the eye and for a screen reader. @param {Page} page @param {string} name */
export function announce(page, name) {
  const text = page.words.say(name);
  at("said").textContent = text;
  at("said").classList.add("fresh");
  clearTimeout(page.fading);
  page.fading = setTimeout(() => at("said").classList.remove("fresh"), 1600);
}
