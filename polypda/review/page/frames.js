/** Frames and uncertainty maps: fetched from beside the page or from within it, decoded ahead, a few kept. */

import { sha256 } from "./record.js";

const KEPT = 12;

export class Pictures {
  /** @param {Map<string, string>} sums picture → SHA-256, for those that lie within the page */
  constructor(sums) {
    this.sums = sums;
    /** @type {Map<string, Promise<HTMLImageElement>>} */
    this.known = new Map();
  }

  /**
   * A picture, decoded. Rejects where it is missing, was copied by half, or is damaged; where it lies within the page,
   * also where a byte of it is another one. Of a file beside it a page may not read the bytes.
   * @param {string} name @returns {Promise<HTMLImageElement>}
   */
  get(name) {
    const known = this.known.get(name);
    if (known) {
      this.known.delete(name); // the latest is last
      this.known.set(name, known);
      return known;
    }
    const picture = new Image();
    picture.decoding = "async";
    picture.src = address(name);
    const decoded = Promise.all([picture.decode(), this.check(name)]).then(() => {
      if (!picture.naturalWidth) throw new Error(name);
      return picture;
    });
    decoded.catch(() => this.known.delete(name)); // it is asked for anew the next time
    this.known.set(name, decoded);
    for (const oldest of this.known.keys()) {
      if (this.known.size <= KEPT) break;
      this.known.delete(oldest);
    }
    return decoded;
  }

  /** @param {string} name @throws {Error} where its bytes are not those that were handed out */
  async check(name) {
    const inside = document.getElementById(`file:${name}`);
    const sum = this.sums.get(name);
    if (!inside || !sum) return;
    const bytes = Uint8Array.from(atob((inside.textContent ?? "").trim()), (one) => one.charCodeAt(0));
    if ((await sha256(bytes)) !== sum) throw new Error(name);
  }

  /** Decode what comes next. @param {Array<string | undefined>} names */
  ahead(names) {
    for (const name of names) if (name) this.get(name).catch(() => undefined);
  }
}

/**
 * Where a picture is: inside the page, or a file beside it, whose SVG no browser shows in part.
 * @param {string} name
 */
function address(name) {
  const inside = document.getElementById(`file:${name}`);
  if (!inside) return name.split("/").map(encodeURIComponent).join("/");
  const kind = name.endsWith(".jpg") ? "jpeg" : "png";
  return `data:image/${kind};base64,${(inside.textContent ?? "").trim()}`;
}
