/** How long a case was looked at: while the page can be seen and somebody does something. */

const IDLE_MS = 60_000;

export class Clock {
  constructor() {
    this.since = 0;
    this.last = 0;
    this.total = 0;
    for (const name of ["keydown", "pointerdown", "pointermove", "wheel"]) {
      window.addEventListener(name, () => this.stir(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.go()));
  }

  go() {
    this.since = this.last = performance.now();
  }

  stir() {
    const now = performance.now();
    if (this.since && now - this.last > IDLE_MS) {
      this.total += this.last + IDLE_MS - this.since; // somebody went for coffee
      this.since = now;
    }
    this.last = now;
  }

  stop() {
    if (!this.since) return;
    this.total += Math.min(performance.now(), this.last + IDLE_MS) - this.since;
    this.since = 0;
  }

  /** Milliseconds since it was last asked; it goes on. */
  take() {
    this.stop();
    const taken = this.total;
    this.total = 0;
    this.go();
    return taken;
  }
}
