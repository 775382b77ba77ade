/** The file that the reviewer hands back: written, read again, and as a table for a spreadsheet. */

import { REASONS, noAnswer } from "./answers.js";

/** @typedef {import("./types").PageData} PageData */
/** @typedef {import("./types").Answer} Answer */
/** @typedef {import("./types").Exported} Exported */
/** @typedef {import("./types").Saved} Saved */

export const SCHEMA = "polypda-review-decisions 1";
const FORMULA = /^[=+\-@\t\r]/;

/** JSON whose keys are sorted: the same text for the same content. @param {unknown} value @returns {string} */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** SHA-256, hexadecimal. @param {Uint8Array<ArrayBuffer>} bytes */
export async function sha256(bytes) {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Text without halves of a character, which no file can hold, and without control characters. @param {string} text */
function wellFormed(text) {
  return text
    .replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD")
    .replace(/[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]/g, "");
}

/**
 * Everything that was answered, with a checksum over it.
 * @param {PageData} data @param {Saved} saved @returns {Promise<Exported>}
 */
export async function exported(data, saved) {
  const answers = data.cases
    .filter((one) => one.case in saved.answers)
    .map((one) => {
      const answer = { ...noAnswer(), ...saved.answers[one.case] };
      return { ...answer, note: wellFormed(answer.note), case: one.case, prediction: one.prediction };
    });
  /** @type {Exported} */
  const body = {
    schema: SCHEMA,
    review: data.review,
    version: data.version,
    reviewer: wellFormed(saved.reviewer).trim(),
    exported: new Date().toISOString(),
    blinded: data.blinded,
    answers,
  };
  body.checksum = await sha256(new TextEncoder().encode(canonical(body)));
  return body;
}

/**
 * Read a file that this page wrote.
 * @param {string} text @param {PageData} data @returns {Promise<Saved>}
 * @throws {Error} whose message names the sentence that tells why not
 */
export async function imported(text, data) {
  /** @type {Exported} */
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error("load_unreadable");
  }
  if (found?.schema !== SCHEMA || !Array.isArray(found.answers)) throw new Error("load_schema");
  if (found.review !== data.review) throw new Error("load_other");
  const { checksum, ...body } = found;
  if (checksum !== (await sha256(new TextEncoder().encode(canonical(body))))) throw new Error("load_edited");
  const known = new Map(data.cases.map((one) => [one.case, one.prediction]));
  /** @type {Record<string, Answer>} */
  const answers = {};
  for (const { case: id, prediction, ...answer } of found.answers) {
    if (known.get(id) !== prediction) throw new Error("load_other"); // `polypda review import` would refuse it
    answers[id] = { ...noAnswer(), ...answer };
  }
  return { reviewer: found.reviewer, exported: found.exported, loaded: null, answers, history: [], changed: false };
}

/** @param {string | number | null} value */
function cell(value) {
  const text = String(value ?? "");
  const harmless = typeof value === "string" && FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** The answers as a table, one row per case. @param {PageData} data @param {Saved} saved */
export function table(data, saved) {
  const head = ["case", "number", "run", "cohort", "frame", "patient", "sequence", "reviewer"];
  head.push("decision", ...REASONS, "preference", "note", "seconds", "decided");
  const rows = data.cases.map((one) => {
    const answer = { ...noAnswer(), ...saved.answers[one.case] };
    return [
      one.case, one.number, one.run, one.cohort, one.frame, one.patient, one.sequence, saved.reviewer,
      answer.decision, ...REASONS.map((reason) => (answer.reasons.includes(reason) ? 1 : 0)),
      answer.preference, wellFormed(answer.note), Math.round(answer.ms / 100) / 10, answer.decided,
    ];
  });
  return `\uFEFF${[head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** Hand the user a file. @param {string} name @param {string} text @param {string} type */
export function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A name that every system takes. @param {PageData} data @param {string} reviewer @param {string} suffix */
export function fileName(data, reviewer, suffix) {
  const who = reviewer.trim().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "") || "reviewer";
  const when = new Date().toISOString().slice(0, 16).replace(/[-:]/g, "").replace("T", "-");
  return `decisions-${data.review}-${who}-${when}.${suffix}`;
}
