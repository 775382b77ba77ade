/** The page's elements by their ids. */

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
export function at(id) {
  return /** @type {T} */ (document.getElementById(id));
}
