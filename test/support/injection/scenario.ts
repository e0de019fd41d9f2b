/**
 * What the injection of errors runs: a call over some state, and the state as text that two moments, or two runs, can be
 * compared by. For `injection.test.ts` and `test/hostile`.
 */
import { LoraModel, Module, type Runtime } from '../../../src/index.js';
import { LoraLayer } from '../../../src/lora/layer/lora-layer.js';
import { Optimizer } from '../../../src/optim/base.js';
import { Tensor } from '../../../src/tensor/tensor.js';

/** Where a scenario's sizes and choices come from: fixed in tests, drawn in long runs. */
export interface Draw {
  /** A size near `normal`, a multiple of `step`. */
  size(normal: number, step?: number): number;
  choose<T>(options: readonly T[]): T;
}

export const FIXED: Draw = { size: (normal) => normal, choose: (options) => options[0]! };

/** Gives what `draw` gave the first time, again and again: for a call that draws and is called more than once. */
export function repeated(draw: Draw): () => Draw {
  const values: unknown[] = [];
  return () => {
    let at = 0;
    const next = <T>(make: () => T): T => {
      if (at === values.length) values.push(make());
      return values[at++] as T;
    };
    return {
      size: (normal, step) => next(() => draw.size(normal, step)),
      choose: (options) => next(() => draw.choose(options)),
    };
  };
}

/** A call, and everything whose state it could change. */
export interface Built {
  readonly holders: readonly unknown[];
  readonly run: () => unknown;
  /** Whether the versions of tensors must be as before too. Default true. */
  readonly versions?: boolean;
}

export interface Scenario {
  readonly title: string;
  /** The public calls that it stands for. */
  readonly covers: readonly string[];
  build(rt: Runtime, draw: Draw): Built | Promise<Built>;
}

function bits(array: ArrayLike<number> & { buffer: ArrayBufferLike; byteOffset: number }): string {
  return Buffer.from(array.buffer, array.byteOffset, array.length * 4).toString('base64');
}

function tensorText(tensor: Tensor, withVersion: boolean): string {
  if (tensor.disposed) return 'disposed';
  const { dtype, shape, requiresGrad, storage, grad } = tensor;
  const version = withVersion ? ` version ${storage.version}` : '';
  const gradient = grad === null ? '' : ` grad(${tensorText(grad, withVersion)})`;
  return `${dtype}[${shape}] ${requiresGrad} ${bits(tensor.toArray())}${version}${gradient}`;
}

function moduleLines(module: Module, withVersion: boolean): string[] {
  const lines: string[] = [];
  for (const [name, part] of module.namedModules()) {
    lines.push(`module ${name} ${part.constructor.name} training ${part.training}`);
    if (!(part instanceof LoraLayer)) continue;
    const { adapters, activeAdapters, mergedAdapters, enabled, weight } = part;
    lines.push(`layer ${name} ${JSON.stringify({ adapters, activeAdapters, mergedAdapters, enabled })}`);
    lines.push(`weight ${name} ${tensorText(weight, withVersion)}`);
  }
  for (const [name, parameter] of module.namedParameters())
    lines.push(`parameter ${name} ${tensorText(parameter, withVersion)}`);
  if (module instanceof LoraModel) {
    const { adapters, activeAdapters, mergedAdapters } = module;
    lines.push(JSON.stringify({ adapters, activeAdapters, mergedAdapters }), String(module.report()));
  }
  return lines;
}

/** A value as lines of text: tensors by their bits, modules with everything that they hold. */
export function textOf(value: unknown, withVersion = false): string[] {
  if (value instanceof Tensor) return [tensorText(value, withVersion)];
  if (value instanceof Module) return moduleLines(value, withVersion);
  if (value instanceof Optimizer) return [`optimizer ${value.lrs}`];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('base64')];
  if (value instanceof Float32Array || value instanceof Int32Array) return [bits(value)];
  if (value instanceof Map || value instanceof Set) return textOf([...value], withVersion);
  if (Array.isArray(value)) return value.flatMap((entry) => textOf(entry, withVersion));
  if (value !== null && typeof value === 'object') return textOf(Object.entries(value), withVersion);
  return [String(value)];
}

/** Everything that an error must leave as it was. */
export function stateOf(rt: Runtime, holders: readonly unknown[], withVersions = true): string[] {
  const { blocks, held, tensors } = rt.memory();
  const { layers, draws } = rt.engine;
  return [...textOf(holders, withVersions), JSON.stringify({ blocks, held, tensors, layers, draws })];
}

/** Room for the scratch of every product here, so that no later call makes it grow; it fits the first pages of memory, which need not grow. */
export function warmScratch(rt: Runtime): void {
  rt.engine.scratch(712 * 1024);
}
