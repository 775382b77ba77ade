/** Buttons, fields, filters, the language, help: what a pointer reaches. */

import { PREFERENCES, REASONS } from "./answers.js";
import { at } from "./elements.js";
import { exportTable, handBack, load } from "./handing.js";
import { clear, decide, keepNote, prefer, toggleReason, undo } from "./judging.js";
import { FACETS, hasOrder, NO_POLYP, ORDERS } from "./queue.js";
import { tellCase, tellProgress, tellScale } from "./telling.js";
import { LANGUAGES } from "./words.js";

/** @typedef {import("./main").Page} Page */
/** @typedef {import("./types").Line} Line */

/** @param {Page} page */
export function listenToControls(page) {
  /** @type {Record<string, () => void>} */
  const actions = {
    accept: () => decide(page, "accept"),
    reject: () => decide(page, "reject"),
    flag: () => decide(page, "flag"),
    previous: () => page.move(-1),
    next: () => page.move(1),
    undo: () => undo(page),
    clear: () => clear(page),
    blink: () => page.nextBlink(),
    lines: () => page.allLines(),
    layout: () => page.setLayout(!page.sideBySide),
    scale: () => page.panes.toggleScale(),
    closer: () => page.panes.step(1),
    farther: () => page.panes.step(-1),
    language: () => setLanguage(page, LANGUAGES[(LANGUAGES.indexOf(page.words.language) + 1) % LANGUAGES.length]),
    help: () => toggleHelp(),
    export: () => void handBack(page),
    csv: () => exportTable(page),
    load: () => at("file").click(),
    "all-cases": () => resetFilters(page),
    "open-list": () => document.body.classList.toggle("list-open"),
    begin: () => begin(page),
    "close-help": () => toggleHelp(),
  };
  REASONS.forEach((_, place) => (actions[`reason-${place}`] = () => toggleReason(page, place)));
  for (const preference of Object.values(PREFERENCES)) actions[`prefer-${preference}`] = () => prefer(page, preference);
  for (const line of /** @type {Line[]} */ (["reference", "one", "two"])) {
    actions[`line-${line}`] = () => page.toggleLine(line);
  }
  for (const [id, action] of Object.entries(actions)) {
    at(id).addEventListener("click", (event) => {
      action();
      if (event.detail) at(id).blur(); // after a pointer the keys belong to the case again
    });
  }
  const finder = /** @type {HTMLElement} */ (at("finder").querySelector("summary"));
  finder.addEventListener("click", (event) => event.detail && finder.blur());
  const hider = at("hide");
  for (const [name, hidden] of /** @type {[string, boolean][]} */ ([
    ["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["pointercancel", false],
  ])) {
    hider.addEventListener(name, () => (hidden && !page.revealed ? page.reveal() : page.hide(hidden)));
  }
  listenToFields(page);
  fillFilters(page);
}

/** @param {Page} page */
export function listenToFields(page) {
  const note = /** @type {HTMLTextAreaElement} */ (at("note"));
  note.addEventListener("focus", () => {
    page.noteBefore = page.answers.of(page.current.case);
  });
  note.addEventListener("input", () => {
    page.answers.put(page.current.case, { ...page.answers.of(page.current.case), note: note.value });
    tellProgress(page);
  });
  note.addEventListener("blur", () => keepNote(page));
  const reviewer = /** @type {HTMLInputElement} */ (at("reviewer"));
  const asked = /** @type {HTMLInputElement} */ (at("welcome-reviewer"));
  reviewer.value = asked.value = page.answers.saved.reviewer;
  reviewer.addEventListener("input", () => page.answers.setReviewer(reviewer.value));
  asked.addEventListener("input", () => {
    reviewer.value = asked.value;
    page.answers.setReviewer(asked.value);
  });
  const advance = /** @type {HTMLInputElement} */ (at("advance"));
  advance.checked = page.advance;
  advance.addEventListener("change", () => {
    page.advance = advance.checked;
    page.keepSettings();
    advance.blur();
  });
  const file = /** @type {HTMLInputElement} */ (at("file"));
  file.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (chosen) await load(page, await chosen.text());
  });
}

/** @param {Page} page */
export function fillFilters(page) {
  const say = page.words.say.bind(page.words);
  const boxes = [];
  const orders = Object.keys(ORDERS).filter((order) => hasOrder(page.data.cases, order));
  boxes.push(selectBox(page, "order", orders.map((name) => [name, say(name === "handed" ? "order_handed" : `order_${name}`)]), page.order, (value) => {
    page.order = value;
    page.refilter();
  }));
  const states = ["", "undecided", "accept", "reject", "flag"];
  boxes.push(selectBox(page, "state", states.map((name) => [name, say(name || "any")]), page.state, (value) => {
    page.state = value;
    page.refilter();
  }));
  for (const [facet, of] of Object.entries(FACETS)) {
    const values = inOrder([...new Set(page.data.cases.map(of))].filter(Boolean), facet === "size" ? page.data.sizes : []);
    if (values.length < 2) continue;
    const named = values.map((value) => /** @type {[string, string]} */ ([value, valueText(page, facet, value)]));
    boxes.push(selectBox(page, facet, [["", say("any")], ...named], page.facets[facet] ?? "", (value) => {
      page.facets[facet] = value;
      page.refilter();
    }));
  }
  at("filters").replaceChildren(...boxes);
}

/** What has an order of its own in it, everything else by name, its numbers as numbers. @param {string[]} values @param {string[]} own */
function inOrder(values, own) {
  const place = (/** @type {string} */ value) => (own.includes(value) ? own.indexOf(value) : own.length);
  return values.sort((a, b) => place(a) - place(b) || a.localeCompare(b, undefined, { numeric: true }));
}

/** @param {Page} page @param {string} facet @param {string} value */
function valueText(page, facet, value) {
  if (facet === "outcome") return page.words.say(`outcome_${value}`);
  return value === NO_POLYP ? page.words.say("size_none") : value;
}

/**
 * @param {Page} page
 * @param {string} name @param {Array<[string, string]>} options @param {string} value
 * @param {(value: string) => void} onChange
 */
export function selectBox(page, name, options, value, onChange) {
  const label = document.createElement("label");
  const text = document.createElement("span");
  text.textContent = page.words.say(`filter_${name}`);
  const select = document.createElement("select");
  select.id = `filter-${name}`;
  for (const [key, said] of options) select.add(new Option(said, key, false, key === value));
  select.addEventListener("change", () => {
    onChange(select.value);
    select.blur();
  });
  label.append(text, select);
  return label;
}

/** @param {Page} page */
export function resetFilters(page) {
  page.facets = {};
  page.state = "";
  fillFilters(page);
  page.refilter();
}

/** @param {Page} page @param {string} language */
export function setLanguage(page, language) {
  page.words.language = language;
  page.words.apply(document);
  fillFilters(page);
  fillHelp(page);
  page.keepSettings();
  document.title = page.words.say("title");
  tellCase(page);
  const trouble = at("trouble");
  trouble.textContent = trouble.dataset.reason ? page.words.say(trouble.dataset.reason, { file: page.current.image }) : "";
  page.drawLines();
  page.drawUncertainty();
  tellScale(page);
}

/** @param {Page} page */
export function begin(page) {
  at("welcome").removeAttribute("open");
  page.clock.take();
  at("main").focus({ preventScroll: true });
}

/** @param {Page} page */
export function fillHelp(page) {
  const rows = [
    ["A", "accept"], ["R", "reject"], ["F", "flag"], ["1–6", "help_reasons"], ["N", "help_note"], ["U", "undo"], ["0", "clear"],
    ["J → ↓ Enter", "next"], ["K ← ↑", "previous"], ["Home End", "help_ends"], ["Space", "help_space"], ["B", "help_blink"],
    ["L", "help_lines"], ["S", "help_layout"], ["Z", "help_scale"], ["+ −", "help_zoom"], ["Ctrl S", "export"], ["?", "help"],
  ];
  if (page.data.blinded) rows.splice(4, 0, ["Q W E", "help_prefer"]);
  const cells = rows.flatMap(([key, name]) => {
    const term = document.createElement("dt");
    for (const part of key.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = part;
      term.append(cap, " ");
    }
    const text = document.createElement("dd");
    text.textContent = page.words.say(name);
    return [term, text];
  });
  at("key-table").replaceChildren(...cells);
}

export function toggleHelp() {
  const dialog = /** @type {HTMLDialogElement} */ (at("help-dialog"));
  if (dialog.open) dialog.close();
  else dialog.showModal();
}
