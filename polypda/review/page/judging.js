/** Answers: given once the frame and its lines were seen, taken back, cleared. */

import { REASONS } from "./answers.js";
import { at } from "./elements.js";
import { announce, tellAll } from "./telling.js";

/** @typedef {import("./main").Page} Page */
/** @typedef {import("./types").Decision} Decision */
/** @typedef {import("./types").Preference} Preference */

/** Whether an answer can be given now; says why not. @param {Page} page */
export function mayAnswer(page) {
  if (page.empty) {
    announce(page, "no_case_fits");
    return false;
  }
  if (!page.ready) {
    announce(page, at("trouble").hidden ? "wait" : "frame_failed_short");
    return false;
  }
  if (!page.revealed) {
    page.reveal();
    announce(page, "look_first");
    return false;
  }
  return true;
}

/** @param {Page} page @param {Decision} decision */
export function decide(page, decision) {
  if (!mayAnswer(page)) return;
  takeTime(page);
  const answer = page.answers.of(page.current.case);
  if (page.data.blinded && decision === "accept" && answer.preference === null) {
    announce(page, "prefer_first"); // which of the two outlines is accepted nobody would know
    return;
  }
  page.answers.change(page.current.case, { decision, reasons: decision === "accept" ? [] : answer.reasons });
  announce(page, decision);
  if (page.advance && decision !== "reject") page.move(1);
  else tellAll(page);
}

/** @param {Page} page @param {number} place */
export function toggleReason(page, place) {
  if (!mayAnswer(page)) return;
  takeTime(page);
  const answer = page.answers.of(page.current.case);
  const reason = REASONS[place];
  const had = answer.reasons.includes(reason);
  const reasons = REASONS.filter((each) => (each === reason ? !had : answer.reasons.includes(each)));
  const decision = answer.decision === "flag" ? "flag" : "reject";
  page.answers.change(page.current.case, { reasons, decision });
  announce(page, `reason_${reason}`);
  tellAll(page);
}

/** @param {Page} page @param {Preference} preference */
export function prefer(page, preference) {
  if (!page.data.blinded || !mayAnswer(page)) return;
  takeTime(page);
  page.answers.change(page.current.case, { preference });
  announce(page, `prefers_${preference}`);
  tellAll(page);
}

/** @param {Page} page */
export function clear(page) {
  if (page.empty) return;
  page.answers.clear(page.current.case);
  announce(page, "cleared");
  tellAll(page);
}

/** @param {Page} page */
export function undo(page) {
  const id = page.answers.undo();
  if (!id) {
    announce(page, "nothing_to_undo");
    return;
  }
  announce(page, "undone");
  if (id === page.current.case && !page.empty) tellAll(page);
  else page.open(id);
}

/** @param {Page} page */
export function takeTime(page) {
  page.answers.addTime(page.current.case, page.clock.take());
}

/** A note that was typed can be taken back as a whole. @param {Page} page */
export function keepNote(page) {
  const now = page.answers.of(page.current.case);
  if (now.note !== page.noteBefore.note) {
    page.answers.change(page.current.case, { note: now.note }, { ...now, note: page.noteBefore.note });
    page.noteBefore = page.answers.of(page.current.case);
    tellAll(page);
  }
}

export function leaveNote() {
  if (document.activeElement === at("note")) at("note").blur();
}
