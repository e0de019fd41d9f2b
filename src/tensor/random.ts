/** Random numbers of a runtime: as its users draw them, by the methods of Runtime, as layers start with them, and where they stand. */
import { type DrawPlace, normalTo, uniformTo } from '../engine/draws.js';
import { type Engine, RANDOM_STREAM } from '../engine/engine.js';
import { checkInteger, checkNumber, checkOptions } from '../values/checks.js';
import { checkShape, type Shape } from '../values/shape.js';
import type { Runtime } from './runtime.js';
import type { Tensor } from './tensor.js';

/** Largest finite float32. */
const MAX_FLOAT32 = 2 ** 128 - 2 ** 104;

/** Where a runtime's random numbers stand: what `rt.randomState()` gives, and JSON holds. */
export interface RandomState {
  readonly seed: number;
  /** Tensors drawn so far by `uniform` and `normal`. */
  readonly draws: number;
  /** Places given to layers and parameters so far, whose initial values and masks follow them. */
  readonly layers: number;
}

/** @see Runtime.uniform */
export function drawUniform(rt: Runtime, shape: Shape, low: number, high: number): Tensor {
  checkNumber('Runtime.uniform: low', low, -MAX_FLOAT32, MAX_FLOAT32);
  checkNumber('Runtime.uniform: high', high, -MAX_FLOAT32, MAX_FLOAT32);
  if (!(high >= low && high - low <= MAX_FLOAT32))
    throw new RangeError(
      `Runtime.uniform: low is ${low} and high is ${high}, expected low <= high <= low + ${MAX_FLOAT32}`,
    );
  const tensor = rt.empty(checkShape('Runtime.uniform', shape), 'f32');
  fillUniform(tensor, { stream: RANDOM_STREAM.user, layer: rt.engine.draws++ }, low, high);
  return tensor;
}

/** @see Runtime.normal */
export function drawNormal(rt: Runtime, shape: Shape, std: number): Tensor {
  checkNumber('Runtime.normal: std', std, 0, Number.MAX_VALUE);
  const tensor = rt.empty(checkShape('Runtime.normal', shape), 'f32');
  fillNormal(tensor, { stream: RANDOM_STREAM.user, layer: rt.engine.draws++ }, std);
  return tensor;
}

/** Numbers of the counter-based generator: which of them a tensor gets. */
export interface Draw {
  readonly stream: number;
  readonly layer: number;
}

/** A layer's or parameter's place in the generator's counter: the next one. */
export function nextInit({ engine }: Runtime): Draw {
  return { stream: RANDOM_STREAM.init, layer: engine.layers++ };
}

function placeIn({ seedLow, seedHigh }: Engine, { stream, layer }: Draw): DrawPlace {
  return { seedLow, seedHigh, stream, layer, step: 0 };
}

/** Overwrites a float32 tensor with numbers from U[low, high). */
export function fillUniform(tensor: Tensor, draw: Draw, low: number, high: number): void {
  const { engine } = tensor.runtime;
  uniformTo(engine.kernels, placeIn(engine, draw), low, high, tensor);
  tensor.storage.version++;
}

/** Overwrites a float32 tensor with normal numbers of mean 0. */
export function fillNormal(tensor: Tensor, draw: Draw, std: number): void {
  const { engine } = tensor.runtime;
  normalTo(engine.kernels, placeIn(engine, draw), std, tensor);
  tensor.storage.version++;
}

/** @see Runtime.randomState */
export function randomStateOf({ seed, draws, layers }: Engine): RandomState {
  return { seed, draws, layers };
}

/** @see Runtime.setRandomState */
export function putRandomState(engine: Engine, state: RandomState): void {
  const where = 'Runtime.setRandomState';
  checkOptions(where, state, ['seed', 'draws', 'layers']);
  const { seed, draws, layers } = state;
  checkInteger(`${where}: seed`, seed, 0, Number.MAX_SAFE_INTEGER);
  checkInteger(`${where}: draws`, draws, 0, Number.MAX_SAFE_INTEGER);
  checkInteger(`${where}: layers`, layers, 0, Number.MAX_SAFE_INTEGER);
  engine.setSeed(seed);
  engine.draws = draws;
  engine.layers = layers;
}
