/**
 * Where the random numbers stand that a function draws, so that it can run again with the same ones: the seed, the counter of draws, and
 * the masks of layers that drop, which say so before they move (`MaskCounter`). Called by `checkpoint`.
 */
import type { Runtime } from './runtime.js';

/** A layer's place in the generator. */
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

/** Tells whoever watches that a counter is about to move. */
export function beforeMove({ running }: Runtime, counter: RandomCounter): void {
  const { layer, step } = counter;
  for (const { counters } of running.watches)
    if (!counters.has(counter)) counters.set(counter, { layer, step });
}

/** Runs `fn` and gives where the random numbers stood before it. */
export function watchRandom<T>(
  rt: Runtime,
  fn: () => T,
): { readonly result: T; readonly places: RandomPlaces } {
  const { seed, draws } = rt.engine;
  const places: RandomPlaces = { seed, draws, counters: new Map() };
  rt.running.watches.push(places);
  try {
    return { result: fn(), places };
  } finally {
    rt.running.watches.pop();
  }
}

/** Runs `fn` with the random numbers of `places`; afterwards they stand where they stood before. */
export function repeatRandom<T>(rt: Runtime, places: RandomPlaces, fn: () => T): T {
  const { seed, draws } = rt.engine;
  const before: RandomPlaces = { seed, draws, counters: new Map() };
  rt.running.watches.push(before);
  try {
    for (const counter of places.counters.keys()) beforeMove(rt, counter);
    put(rt, places);
    return fn();
  } finally {
    rt.running.watches.pop();
    put(rt, before);
  }
}

function put({ engine }: Runtime, { seed, draws, counters }: RandomPlaces): void {
  engine.setSeed(seed);
  engine.draws = draws;
  for (const [counter, place] of counters) Object.assign(counter, place);
}
