/** From a key that was pressed to what is meant; also where an input method for Chinese holds the letters back. */

/** @type {Record<string, string>} */
export const KEYS = {
  a: "accept", r: "reject", f: "flag", n: "note", u: "undo", 0: "clear", "?": "help", h: "help",
  1: "reason_0", 2: "reason_1", 3: "reason_2", 4: "reason_3", 5: "reason_4", 6: "reason_5",
  q: "prefer_a", w: "prefer_same", e: "prefer_b",
  j: "next", k: "previous", arrowright: "next", arrowdown: "next", arrowleft: "previous", arrowup: "previous",
  enter: "next", home: "first", end: "last",
  b: "blink", l: "lines", s: "layout", z: "scale", "+": "closer", "=": "closer", "-": "farther", " ": "hide",
  escape: "leave",
};

/** What a key press asks for; "" for nothing of ours. @param {KeyboardEvent} event */
export function meaning(event) {
  if (event.altKey) return "";
  const key = plain(event);
  if (event.ctrlKey || event.metaKey) return key === "s" ? "export" : "";
  return KEYS[key] ?? "";
}

/** @param {KeyboardEvent} event */
function plain(event) {
  const held = event.key === "Process" || event.key === "Unidentified" || /^[^\x00-\x7F]$/.test(event.key);
  if (held) {
    if (event.code === "Slash" && event.shiftKey) return "?";
    const named = /^(?:Key|Digit|Numpad)([A-Z0-9])$/.exec(event.code);
    if (named) return named[1].toLowerCase();
    return event.code === "Space" ? " " : event.code.toLowerCase();
  }
  return event.key.toLowerCase();
}

/** Whether keys are being typed into something. @param {EventTarget | null} target */
export function isTyping(target) {
  return target instanceof HTMLElement && (target.matches("input[type=text], textarea, select") || target.isContentEditable);
}
