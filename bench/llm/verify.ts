/** What contestants compute has to be alike before it is timed. Every check throws an Error that names who differs. */
import { type Contestant, nameOf, PLAIN } from './contestants.js';

/** Of the largest number: what two forms of the same weights may differ by. */
export const CLOSE = 1e-4;

/** @throws Error */
export function within(what: string, who: string, got: number, wanted: number, bound: number): void {
  if (Math.abs(got - wanted) <= bound) return;
  throw new Error(`verify: ${what}: ${who}: ${got}, expected ${wanted} within ${bound}`);
}

/** Everybody's numbers are the first one's: close over float32, else the same bits. @throws Error */
export function alike(what: string, contestants: readonly Contestant[], all: readonly Float32Array[]): void {
  const first = all[0]!;
  const largest = first.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!(largest > 0 && largest < Number.POSITIVE_INFINITY))
    throw new Error(`verify: the largest ${what} is ${largest}, expected one above 0`);
  for (const [i, one] of contestants.entries()) {
    const bound = one.weights === PLAIN ? CLOSE * largest : 0;
    const wrong = all[i]!.findIndex((value, j) => !(Math.abs(value - first[j]!) <= bound));
    if (wrong >= 0) within(`${what} ${wrong}`, nameOf(one), all[i]![wrong]!, first[wrong]!, bound);
  }
}
