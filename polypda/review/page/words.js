/** What the page says, in the language that is chosen. */

/** @typedef {import("./types").PageData} PageData */

export const LANGUAGES = ["en", "zh"];

export class Words {
  /** @param {PageData["words"]} words @param {string} language */
  constructor(words, language) {
    this.words = words;
    this.language = language in words ? language : "en";
  }

  /**
   * A sentence by its name; `{name}` in it is replaced.
   * @param {string} name @param {Record<string, string | number>} [values]
   */
  say(name, values = {}) {
    const text = this.words[this.language][name] ?? this.words.en[name] ?? name;
    return text.replace(/\{(\w+)\}/g, (whole, key) => (key in values ? String(values[key]) : whole));
  }

  /** Put words where the page names them: text, label, tooltip, placeholder. @param {ParentNode} root */
  apply(root) {
    document.documentElement.lang = this.language === "zh" ? "zh-Hans" : "en";
    for (const element of root.querySelectorAll("[data-say]")) {
      element.textContent = this.say(/** @type {HTMLElement} */ (element).dataset.say ?? "");
    }
    for (const element of root.querySelectorAll("[data-label]")) {
      element.setAttribute("aria-label", this.say(/** @type {HTMLElement} */ (element).dataset.label ?? ""));
    }
    for (const element of root.querySelectorAll("[data-tip]")) {
      element.setAttribute("title", this.say(/** @type {HTMLElement} */ (element).dataset.tip ?? ""));
    }
    for (const element of root.querySelectorAll("[data-hint]")) {
      element.setAttribute("placeholder", this.say(/** @type {HTMLElement} */ (element).dataset.hint ?? ""));
    }
  }
}
