/** Where `polypda review serve` shows the page, answers are saved to its disk as well. */

/** @typedef {import("./types").Exported} Exported */

const WAIT_MS = 400;

export class Server {
  constructor() {
    this.there = location.protocol === "http:";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.waiting = undefined;
  }

  /** Who reviews, and what was saved of it. @returns {Promise<{ reviewer: string, saved: string } | null>} */
  async session() {
    if (!this.there) return null;
    const answer = await fetch("session");
    return answer.ok ? answer.json() : null;
  }

  /**
   * Save soon; several changes at once are saved once.
   * @param {() => Promise<Exported>} record @param {(saved: boolean) => void} done
   */
  save(record, done) {
    if (!this.there) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(async () => {
      try {
        const body = JSON.stringify(await record());
        const answer = await fetch("decisions", { method: "POST", body, headers: { "Content-Type": "application/json" } });
        done(answer.ok);
      } catch {
        done(false);
      }
    }, WAIT_MS);
  }
}
