/** Handing the answers back, loading them again, and not losing them on the way out. */

import { isSaid } from "./answers.js";
import { at } from "./elements.js";
import { leaveNote, takeTime } from "./judging.js";
import { download, exported, fileName, imported, table } from "./record.js";
import { announce, tellProgress } from "./telling.js";

/** @typedef {import("./main").Page} Page */

/** @param {Page} page */
export async function handBack(page) {
  leaveNote();
  page.answers.meet();
  if (!page.answers.saved.reviewer.trim()) {
    announce(page, "name_first");
    at("reviewer").focus();
    return;
  }
  takeTime(page);
  const record = await exported(page.data, page.answers.saved);
  const name = fileName(page.data, record.reviewer, "json");
  download(name, `${JSON.stringify(record, null, 1)}\n`, "application/json");
  page.answers.markExported(record.exported);
  announce(page, "exported_now");
  tellProgress(page);
}

/** @param {Page} page */
export function exportTable(page) {
  takeTime(page);
  const name = fileName(page.data, page.answers.saved.reviewer, "csv");
  download(name, table(page.data, page.answers.saved), "text/csv");
}

/** @param {Page} page @param {string} text */
export async function load(page, text) {
  try {
    const saved = await imported(text, page.data);
    const here = Object.values(page.answers.saved.answers).some(isSaid);
    if (here && !window.confirm(page.words.say("load_over"))) return;
    page.answers.replace(saved);
    /** @type {HTMLInputElement} */ (at("reviewer")).value = saved.reviewer;
    announce(page, "loaded");
    page.open(page.current.case);
    page.refilter();
  } catch (error) {
    const reason = error instanceof Error ? error.message : "load_unreadable";
    window.alert(page.words.say(reason));
  }
}

/** @param {Page} page */
export function listenToLeaving(page) {
  window.addEventListener("beforeunload", (event) => {
    if (page.answers.saved.changed) event.preventDefault();
  });
  const keep = () => {
    takeTime(page);
    page.answers.keep();
  };
  window.addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", () => document.hidden && keep());
  window.addEventListener("blur", () => page.hide(false));
  window.addEventListener("storage", (event) => {
    if (event.key !== page.answers.key || event.newValue === null) return;
    at("elsewhere").hidden = false;
    takeTime(page);
    if (page.answers.meet()) page.metElsewhere();
  });
}
