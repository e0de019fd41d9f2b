/**
 * Learning rates of an optimiser's groups: what each began with, and one factor over all of them. Nothing is kept as "the
 * last rate times a factor", so no way through 0 loses what stood between the groups. Called by `base.ts`.
 */
import { checkNumber, describe } from '../values/checks.js';

const MAX = Number.MAX_VALUE;

export class Rates {
  readonly #initial: readonly number[];
  /** What the group that speaks for all began with: the first that did not begin at 0, or 0. */
  readonly #leading: number;
  #rates: readonly number[];

  /** @param initial - rate of each group, from 0 up */
  constructor(initial: readonly number[]) {
    this.#initial = initial;
    this.#leading = initial.find((rate) => rate !== 0) ?? 0;
    this.#rates = initial;
  }

  /** What each group began with. */
  get initial(): readonly number[] {
    return this.#initial;
  }

  /** Rate of each group now. */
  get all(): number[] {
    return [...this.#rates];
  }

  of(group: number): number {
    return this.#rates[group]!;
  }

  /** Rate of the first group that did not begin at 0; 0 where all did. */
  get leading(): number {
    return this.#rates[this.#initial.indexOf(this.#leading)]!;
  }

  /** Gives the leading group this rate and the others the same multiple of what they began with. @throws TypeError, RangeError */
  set(where: string, rate: unknown): void {
    const value = checkNumber(where, rate, 0, MAX);
    if (this.#leading === 0) {
      if (value === 0) return;
      throw new RangeError(`${where} is ${value}, expected 0: every group began at 0 and stays there`);
    }
    this.#apply(where, value, value / this.#leading);
  }

  /** Gives every group `factor` times what it began with. @throws TypeError, RangeError */
  scale(where: string, factor: unknown): void {
    const value = checkNumber(`${where}: factor`, factor, 0, MAX);
    this.#apply(`${where}: factor`, this.#leading * value, value);
  }

  /** Puts back what `all` gave. @throws TypeError, RangeError */
  restore(where: string, rates: unknown): void {
    if (!Array.isArray(rates) || rates.length !== this.#initial.length)
      throw new TypeError(`${where} is ${describe(rates)}, expected ${this.#initial.length} numbers`);
    this.#rates = rates.map((rate: unknown, i) => checkNumber(`${where}: group ${i}`, rate, 0, MAX));
  }

  /** @param leading - the leading group's rate, as given: a quotient and a product would round it */
  #apply(where: string, leading: number, factor: number): void {
    const rates = this.#initial.map((rate) =>
      rate === 0 ? 0 : rate === this.#leading ? leading : rate * factor,
    );
    const beyond = rates.findIndex((rate) => !Number.isFinite(rate));
    if (beyond >= 0)
      throw new RangeError(
        `${where} takes group ${beyond} from ${this.#initial[beyond]} to ${rates[beyond]}, expected finite rates`,
      );
    this.#rates = rates;
  }
}
