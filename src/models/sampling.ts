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

/** Logits that are looked at for top-p, one count after the other until they are enough; after the last all are. */
const FEW = [64, 1024];

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
    const u = this.#uniform();
    const topP = this.#topP;
    if (this.#topK > 0 && this.#topK < logits.length) {
      const first = likeliest(logits, this.#topK);
      const weights = this.#weights(first, top);
      return idOf(logits, first, drawn(weights, atLeast(weights, topP * total(weights)), u));
    }
    const all = this.#weights(logits, top);
    if (topP === 1) return drawn(all, all.length, u);
    // The sum of all needs no order: of most texts the first few are enough.
    const enough = topP * total(all);
    for (let i = 0; ; i++) {
      const size = FEW[i] ?? logits.length;
      const first = likeliest(logits, size);
      const weights = this.#weights(first, top);
      if (size >= logits.length || total(weights) >= enough)
        return idOf(logits, first, drawn(weights, atLeast(weights, enough), u));
    }
  }

  /** What each is drawn by, that of the largest being 1. */
  #weights(logits: Float32Array, top: number): Float64Array {
    const weights = new Float64Array(logits.length);
    for (let i = 0; i < weights.length; i++) weights[i] = exponential((logits[i]! - top) / this.#temperature);
    return weights;
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

function total(weights: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i]!;
  return sum;
}

/** How many of the first come to this weight; all where they do not. */
function atLeast(weights: Float64Array, enough: number): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    sum += weights[i]!;
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

/** The k largest, the largest first. Few are kept in a heap whose root is the least of them, which takes less than sorting all. */
function likeliest(logits: Float32Array, k: number): Float32Array {
  if (k > FEW.at(-1)! || k > logits.length) return logits.slice().sort().reverse().subarray(0, k);
  const heap = logits.slice(0, k);
  const sink = (value: number, from: number): void => {
    let at = from;
    for (let child = 2 * at + 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && heap[child + 1]! < heap[child]!) child++;
      if (value <= heap[child]!) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = value;
  };
  for (let i = (k >> 1) - 1; i >= 0; i--) sink(heap[i]!, i);
  for (let id = k; id < logits.length; id++) if (logits[id]! > heap[0]!) sink(logits[id]!, 0);
  return heap.sort().reverse();
}

/** The id whose logit stands at `place` of `first`, the likeliest in order: equals stand there by their ids. */
function idOf(logits: Float32Array, first: Float32Array, place: number): number {
  const value = first[place]!;
  let id = -1;
  for (let i = first.indexOf(value); i <= place; i++) id = logits.indexOf(value, id + 1);
  return id;
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
