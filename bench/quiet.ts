/**
 * Rounds on a machine that others share. A neighbour on the same core takes its caches: reading from them becomes half as fast, while a
 * loop that stays in registers hardly slows. So two loops tell whether one is there, over the first- and the second-level
 * cache. A round beside a neighbour is set aside and repeated, by what these loops say and never by what was measured.
 */
import type { Yardstick } from './peak.js';

/** Bytes that lie in the first- and in the second-level cache of any processor, and how often a probe reads them. */
const PROBES = [
  { bytes: 16 << 10, times: 400 },
  { bytes: 128 << 10, times: 50 },
] as const;
/** A machine is quiet when its caches answer at this share of the best that was seen. */
const SHARE = 0.87;
/** Attempts at one round, and milliseconds of waiting before each. */
const ATTEMPTS = 4;
const WAIT_MS = 400;
/** Milliseconds that waiting and repeating may take in all: on a machine that is never quiet rounds count as they are. */
const PATIENCE_MS = 240_000;

export class Quiet {
  /** Rounds that were repeated. */
  setAside = 0;
  /** Rounds that counted though a neighbour was there. */
  disturbed = 0;
  readonly #yardstick: Pick<Yardstick, 'read' | 'prepareRead'>;
  readonly #best = PROBES.map(() => 0);
  #patience = PATIENCE_MS;

  constructor(yardstick: Pick<Yardstick, 'read' | 'prepareRead'>) {
    this.#yardstick = yardstick;
    yardstick.prepareRead(Math.max(...PROBES.map(({ bytes }) => bytes)));
    for (let i = 0; i < 100; i++) this.#probe();
  }

  /** The result of `run`, a round; of its last attempt where none was quiet before and after. */
  round<T>(run: () => T): T {
    for (let attempt = 1; ; attempt++) {
      const start = performance.now();
      const before = this.#wait();
      const result = run();
      if (before && this.#probe()) return result;
      if (attempt === ATTEMPTS || this.#patience <= 0) {
        this.disturbed++;
        return result;
      }
      this.setAside++;
      this.#patience -= performance.now() - start;
    }
  }

  /** Waits until the machine is quiet; false where it was not in time. */
  #wait(): boolean {
    const start = performance.now();
    while (!this.#probe()) {
      if (this.#patience <= 0 || performance.now() - start > WAIT_MS) return false;
    }
    return true;
  }

  /** Whether every probe runs at its best, or nearly. */
  #probe(): boolean {
    return PROBES.map(({ bytes, times }, i) => {
      this.#yardstick.read(bytes);
      const start = performance.now();
      for (let k = 0; k < times; k++) this.#yardstick.read(bytes);
      const speed = (bytes * times) / (performance.now() - start);
      this.#best[i] = Math.max(this.#best[i]!, speed);
      return speed >= SHARE * this.#best[i]!;
    }).every(Boolean);
  }
}
