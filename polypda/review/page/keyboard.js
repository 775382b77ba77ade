/** From keys to what they ask of the page. */

import { PREFERENCES, REASONS } from "./answers.js";
import { begin, toggleHelp } from "./controls.js";
import { at } from "./elements.js";
import { handBack } from "./handing.js";
import { clear, decide, prefer, toggleReason, undo } from "./judging.js";
import { isTyping, meaning } from "./keys.js";

/** @typedef {import("./main").Page} Page */

/** @param {Page} page */
export function listenToKeys(page) {
  /** @type {Record<string, () => void>} */
  const actions = {
    accept: () => decide(page, "accept"),
    reject: () => decide(page, "reject"),
    flag: () => decide(page, "flag"),
    note: () => page.empty || at("note").focus(),
    undo: () => undo(page),
    clear: () => clear(page),
    help: () => toggleHelp(),
    next: () => page.move(1),
    previous: () => page.move(-1),
    first: () => page.jump(0),
    last: () => page.jump(-1),
    blink: () => page.nextBlink(),
    lines: () => page.allLines(),
    layout: () => page.setLayout(!page.sideBySide),
    scale: () => page.panes.toggleScale(),
    closer: () => page.panes.step(1),
    farther: () => page.panes.step(-1),
    hide: () => (page.revealed ? page.hide(true) : page.reveal()),
    export: () => void handBack(page),
    leave: () => document.body.classList.remove("list-open"),
  };
  for (let place = 0; place < REASONS.length; place += 1) actions[`reason_${place}`] = () => toggleReason(page, place);
  for (const [name, preference] of Object.entries(PREFERENCES)) actions[name] = () => prefer(page, preference);
  window.addEventListener("keydown", (event) => onKey(page, event, actions));
  window.addEventListener("keyup", (event) => {
    if (meaning(event) === "hide") page.hide(false);
  });
}

/** @param {Page} page @param {KeyboardEvent} event @param {Record<string, () => void>} actions */
export function onKey(page, event, actions) {
  const asked = meaning(event);
  if (at("welcome").hasAttribute("open")) {
    if (asked === "next" && event.key === "Enter") {
      event.preventDefault();
      begin(page);
    }
    return;
  }
  if (isTyping(event.target)) {
    const done = asked === "leave" || (event.key === "Enter" && !event.shiftKey && !event.isComposing);
    if (asked === "export" || done) event.preventDefault();
    if (asked === "export") actions.export();
    if (done) /** @type {HTMLElement} */ (event.target).blur();
    return;
  }
  const dialog = /** @type {HTMLDialogElement} */ (at("help-dialog"));
  if (dialog.open && asked !== "help") return;
  const control = event.target instanceof HTMLElement && event.target.matches("button, summary, input");
  if (control && (asked === "hide" || event.key === "Enter")) return; // the control's own keys
  if (!asked || (event.repeat && !["next", "previous", "closer", "farther"].includes(asked))) {
    if (asked === "hide") event.preventDefault();
    return;
  }
  event.preventDefault();
  actions[asked]();
}
