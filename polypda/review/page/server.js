/** Where `polypda review serve` shows the page, answers are saved to its disk as well. */

/** @typedef {import("./types").Exported} Exported */
/** @typedef {{ reviewer: string, saved: string, revision: string }} Session */

const WAIT_MS = 400;
const MOST_TRIES = 4;

export class Server {
  constructor() {
    this.there = location.protocol === "http:";
    /** Of what was saved there, which answers of here go on from. */
    this.revision = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.waiting = undefined;
    /** @type {Promise<void>} */
    this.sending = Promise.resolve();
  }

  /** Who reviews, and what was saved of it. @returns {Promise<Session | null>} */
  async session() {
    if (!this.there) return null;
    const answer = await fetch("session");
    return answer.ok ? answer.json() : null;
  }

  /**
   * Save soon; several changes at once are saved once.
   * @param {() => Promise<Exported>} record @param {(saved: boolean) => void} done
   * @param {() => Promise<boolean>} meet takes in what another browser saved; false where that cannot be read
   */
  save(record, done, meet) {
    if (!this.there) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.sending = this.sending.then(() => this.send(record, meet)).then(done, () => done(false));
    }, WAIT_MS);
  }

  /**
   * Tells whether it was saved. Nothing that another browser saved is written over: it is taken in first.
   * @param {() => Promise<Exported>} record @param {() => Promise<boolean>} meet
   */
  async send(record, meet) {
    for (let tried = 0; tried < MOST_TRIES; tried += 1) {
      const body = JSON.stringify(await record());
      const headers = { "Content-Type": "application/json", "If-Match": `"${this.revision}"` };
      const answer = await fetch("decisions", { method: "POST", body, headers });
      if (answer.ok) this.revision = (await answer.json()).revision;
      if (answer.status !== 409 || !(await meet().catch(() => false))) return answer.ok;
    }
    return false;
  }
}
