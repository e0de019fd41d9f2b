/**
 * Which token comes next: repetition penalty, temperature, top-k, top-p, and a draw by a generator of its own, in the order and
 * meaning of transformers. Every number but the logits is made of exact operations, so that one seed and the same logits choose
 * the same tokens in every engine. `generate.ts` calls it.
 */
import { checkInteger, checkNumber } from '../values/checks.js';
import { exponential } from './exponential.js';

/** How tokens are chosen. */
export interface SamplingOptions {
  /** What logits are divided by before a token is drawn; 0 takes the likeliest. Default 0. */
  readonly temperature?: number;
  /** Draws among so many of the likeliest only; 0 for all. Default 0. */
  readonly topK?: number;
  /** Draws among the likeliest that together have this probability at least; from above 0 to 1. Default 1. */
  readonly topP?: number;
  /** What the logits of tokens that were there are divided by (where negative multiplied by), prompt and all. Default 1. */
  readonly repetitionPenalty?: number;
  /** Of the draws; 0 to 2^32 - 1. Default 0. */
  readonly seed?: number;
}

export const SAMPLING_OPTIONS = ['temperature', 'topK', 'topP', 'repetitionPenalty', 'seed'];

/** Candidates that are looked at first for top-p; most often they are enough. */
const FIRST = 64;

/** Chooses tokens one after the other. */
export class Sampler {
  readonly #temperature: number;
  readonly #topK: number;
  readonly #topP: number;
  readonly #penalty: number;
  readonly #seen: Set<number>;
  readonly #uniform: () => number;

  /** @param prompt - ids that were there before @throws TypeError, RangeError */
  constructor(where: string, options: SamplingOptions, prompt: Iterable<number>) {
    const { temperature = 0, topK = 0, topP = 1, repetitionPenalty = 1, seed = 0 } = options;
    this.#temperature = checkNumber(`${where}: temperature`, temperature, 0, 1e6);
    this.#topK = checkInteger(`${where}: topK`, topK, 0, 2 ** 31 - 1);
    this.#topP = checkNumber(`${where}: topP`, topP, Number.MIN_VALUE, 1);
    this.#penalty = checkNumber(`${where}: repetitionPenalty`, repetitionPenalty, 1e-3, 1e3);
    this.#uniform = uniforms(checkInteger(`${where}: seed`, seed, 0, 2 ** 32 - 1));
    this.#seen = new Set(this.#penalty === 1 ? [] : prompt);
  }

  /**
   * The next token; it counts as seen from then on.
   * @param logits - [vocab], which are changed
   * @throws RangeError where a logit is NaN or the largest is infinite
   */
  next(logits: Float32Array): number {
    for (const id of this.#seen) {
      const logit = logits[id]!;
      logits[id] = logit > 0 ? logit / this.#penalty : logit * this.#penalty;
    }
    const best = largest(logits);
    if (!Number.isFinite(logits[best]))
      throw new RangeError(`generate: the largest logit is ${logits[best]}, expected numbers`);
    const id = this.#temperature === 0 ? best : this.#draw(logits, best);
    if (this.#penalty !== 1) this.#seen.add(id);
    return id;
  }

  #draw(logits: Float32Array, best: number): number {
    const top = logits[best]!;
    const weight = (id: number): number => exponential((logits[id]! - top) / this.#temperature);
    const u = this.#uniform();
    const k = this.#topK === 0 ? logits.length : Math.min(this.#topK, logits.length);
    const topP = this.#topP;
    if (k < logits.length) {
      const ids = likeliest(logits, k);
      const weights = Float64Array.from(ids, weight);
      return ids[drawn(weights, atLeast(weights, topP * total(weights)), u)]!;
    }
    const all = Float64Array.from(logits, (_, id) => weight(id));
    if (topP === 1) return drawn(all, all.length, u);
    // The sum of all needs no order: of most texts the first few are enough.
    const enough = topP * total(all);
    for (let size = Math.min(FIRST, k); ; size = Math.min(8 * size, k)) {
      const ids = likeliest(logits, size);
      const weights = Float64Array.from(ids, (id) => all[id]!);
      if (size === k || total(weights) >= enough) return ids[drawn(weights, atLeast(weights, enough), u)]!;
    }
  }
}

/** The largest, the first of equals; the first NaN where there is one. */
function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    if (Number.isNaN(logits[id])) return id;
    if (logits[id]! > logits[best]!) best = id;
  }
  return best;
}

const total = (weights: Float64Array): number => weights.reduce((sum, weight) => sum + weight, 0);

/** How many of the first come to this weight; all where they do not. */
function atLeast(weights: Float64Array, enough: number): number {
  let sum = 0;
  for (const [i, weight] of weights.entries()) {
    sum += weight;
    if (sum >= enough) return i + 1;
  }
  return weights.length;
}

/** One of the first `count` by their weights. @param u - from 0 to below 1 */
function drawn(weights: Float64Array, count: number, u: number): number {
  let left = u * total(weights.subarray(0, count));
  let last = 0;
  for (let i = 0; i < count; i++) {
    const weight = weights[i]!;
    if (weight === 0) continue;
    last = i;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}

/** The ids of the k largest, the largest first, of equals the lower id: by a heap whose root is the least of them. */
function likeliest(logits: Float32Array, k: number): Int32Array {
  const before = (a: number, b: number): boolean =>
    logits[a]! > logits[b]! || (logits[a] === logits[b] && a < b);
  const heap = new Int32Array(k);
  const sink = (at: number, size: number): void => {
    const id = heap[at]!;
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && before(heap[child]!, heap[child + 1]!)) child++;
      if (!before(id, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = id;
  };
  for (let i = 0; i < k; i++) heap[i] = i;
  for (let i = (k >> 1) - 1; i >= 0; i--) sink(i, k);
  for (let id = k; id < logits.length; id++) {
    if (!before(id, heap[0]!)) continue;
    heap[0] = id;
    sink(0, k);
  }
  return heap.sort((a, b) => (before(a, b) ? -1 : 1));
}

/** Numbers from 0 to below 1 in steps of 2^-53, by Doty-Humphrey's sfc32. */
function uniforms(seed: number): () => number {
  let [a, b, c, counter] = [0, seed | 0, 0, 1];
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 15; i++) next();
  return () => ((next() >>> 5) * 67_108_864 + (next() >>> 6)) / 9_007_199_254_740_992;
}
