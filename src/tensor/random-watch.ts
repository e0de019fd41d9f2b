/**
 * Where the random numbers stand that a function draws, so that it can run again with the same ones: the seed, the counter of draws, and
 * the masks of layers that drop, which say so before they move. One belongs to each Runtime; `checkpoint` watches and repeats.
 */
import type { Engine } from '../engine/engine.js';

/** A layer's place in the generator: what a `MaskCounter` holds. */
export interface RandomCounter {
  layer: number;
  step: number;
}

/** Where everything stood before a function ran. */
export interface RandomPlaces {
  readonly seed: number;
  readonly draws: number;
  /** Of the counters that it moved. */
  readonly counters: Map<RandomCounter, Readonly<RandomCounter>>;
}

export class RandomWatch {
  readonly #engine: Engine;
  readonly #open: RandomPlaces[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Called before a counter moves. */
  moves(counter: RandomCounter): void {
    const { layer, step } = counter;
    for (const { counters } of this.#open) if (!counters.has(counter)) counters.set(counter, { layer, step });
  }

  /** Runs `fn` and gives where the random numbers stood before it. */
  watch<T>(fn: () => T): { readonly result: T; readonly places: RandomPlaces } {
    const { seed, draws } = this.#engine;
    const places: RandomPlaces = { seed, draws, counters: new Map() };
    this.#open.push(places);
    try {
      return { result: fn(), places };
    } finally {
      this.#open.pop();
    }
  }

  /** Runs `fn` with the random numbers of `places`; afterwards they stand where they stood before. */
  repeat<T>(places: RandomPlaces, fn: () => T): T {
    const { seed, draws } = this.#engine;
    const before: RandomPlaces = { seed, draws, counters: new Map() };
    this.#open.push(before);
    try {
      for (const counter of places.counters.keys()) this.moves(counter);
      this.#put(places);
      return fn();
    } finally {
      this.#open.pop();
      this.#put(before);
    }
  }

  #put({ seed, draws, counters }: RandomPlaces): void {
    this.#engine.setSeed(seed);
    this.#engine.draws = draws;
    for (const [counter, place] of counters) Object.assign(counter, place);
  }
}
