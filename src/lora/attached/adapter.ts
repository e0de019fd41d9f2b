/** One adapter of a model: its block of parameters over the planned layers, and what may be active together. */
import type { Module } from '../../nn/module.js';
import { elementsOf, expandElements } from '../../ops/expanded.js';
import type { OutputRange } from '../../ops/lora-terms.js';
import { type Parameter, ParameterBlock } from '../../tensor/parameter.js';
import type { Runtime } from '../../tensor/runtime.js';
import type { Shape } from '../../values/shape.js';
import type { ResolvedConfig } from '../config/config.js';
import { AdapterError } from '../errors.js';
import { type AdapterTensor, adapterTensors, type NamedFactors } from '../layer/tensors.js';
import type { FactorShapes } from '../maths/factors.js';
import { type CopySite, copySites, type OwnCopy } from './copies.js';
import type { AdapterPlan, PlannedLayer } from './plan.js';

/** What an adapter's parameters will be: worked out before any memory is taken. */
export interface AdapterLayout {
  readonly factors: readonly FactorShapes[];
  readonly ranges: readonly (readonly OutputRange[] | null)[];
  readonly sites: readonly CopySite[];
}

/** The originals must be in place. @throws AdapterError */
export function layoutOf(
  where: string,
  model: Module,
  config: ResolvedConfig,
  { layers }: AdapterPlan,
): AdapterLayout {
  return {
    factors: layers.map(({ path, layer: { base, state }, options }) =>
      state.adaptation.shapes(`${where}: ${path}`, base, options),
    ),
    ranges: layers.map(({ path, layer: { base, state }, options }) =>
      state.adaptation.ranges(`${where}: ${path}`, base, options),
    ),
    sites: copySites(where, model, config, new Set(layers.map(({ path }) => path))),
  };
}

/** The tensors that an adapter's file should hold, by their shapes. @param name - the adapter's */
export function expectedTensors(
  name: string,
  { layers }: AdapterPlan,
  { factors, sites }: AdapterLayout,
): AdapterTensor<Shape>[] {
  return adapterTensors<Shape>(
    {
      layers: layers.map(({ path, layer }, i) => ({ path, kind: layer.kind, factors: factors[i]! })),
      copies: sites.map((site) => ({ ...site, own: site.original.shape })),
    },
    [name, 'default'],
  );
}

export class Adapter {
  readonly name: string;
  readonly config: ResolvedConfig;
  readonly plan: AdapterPlan;
  readonly block: ParameterBlock;
  readonly copies: readonly OwnCopy[];

  /**
   * Makes the parameters (A factors, then B factors, then the rest, each in the order of the layers) and puts them beside
   * the layers, all of them float32; nothing is drawn yet. The model's originals must be in place.
   * @throws OutOfMemoryError; nothing is left behind then
   */
  constructor(
    runtime: Runtime,
    name: string,
    config: ResolvedConfig,
    plan: AdapterPlan,
    { factors: list, ranges, sites }: AdapterLayout,
  ) {
    this.name = name;
    this.config = config;
    this.plan = plan;
    this.block = new ParameterBlock(runtime, [
      ...list.map(({ A }) => A),
      ...list.map(({ B }) => B),
      ...present(list.map(({ bias }) => bias)),
      ...present(list.map(({ magnitude }) => magnitude)),
      ...sites.map(({ original }) => original.shape),
    ]);
    const made = [...this.block.parameters];
    const A = made.splice(0, list.length);
    const B = made.splice(0, list.length);
    const bias = list.map((shapes) => (shapes.bias === null ? null : made.shift()!));
    const magnitude = list.map((shapes) => (shapes.magnitude === null ? null : made.shift()!));
    for (const [i, { layer, options }] of plan.layers.entries()) {
      layer.state.add(name, {
        ...{ A: A[i]!, B: B[i]!, bias: bias[i]!, magnitude: magnitude[i]! },
        ...{ options, ranges: ranges[i]! },
      });
    }
    this.copies = sites.map((site, i) => ({ ...site, own: made[i]! }));
    for (const { original, own } of this.copies) expandElements(runtime, elementsOf(original), own.pointer);
  }

  /** Its layers with their factors. */
  get layers(): NamedFactors[] {
    return this.plan.layers.map(({ path, layer: { kind, base, state } }) => ({
      ...{ path, kind, outputs: state.adaptation.outputs(base) },
      factors: state.get(this.name, 'factors'),
    }));
  }

  /** Its trained parameters by the keys of PEFT's file. */
  tensors(): AdapterTensor[] {
    return adapterTensors(this, [this.name, 'default']);
  }

  get trainable(): boolean {
    return this.block.parameters.some(({ requiresGrad }) => requiresGrad);
  }

  set trainable(value: boolean) {
    for (const parameter of this.block.parameters) parameter.requiresGrad = value;
  }

  /** Layers where an initialisation left the adapter a base of its own. */
  get changedLayers(): readonly PlannedLayer[] {
    return this.plan.layers.filter(({ layer }) => layer.factors(this.name).changed !== null);
  }

  /** Whether weights of its layers are stored [in, out]. */
  get fanInFanOut(): boolean {
    return this.plan.layers.some(({ layer: { base, state } }) => state.adaptation.fanInFanOut(base));
  }

  dispose(): void {
    for (const { layer } of this.plan.layers) layer.state.remove(this.name);
    this.block.dispose();
  }
}

function present(shapes: readonly (FactorShapes['bias'] | Parameter['shape'])[]): Shape[] {
  return shapes.filter((shape): shape is Shape => shape !== null);
}

/** Which adapters may be active at once. @throws AdapterError naming two that may not */
export function checkTogether(where: string, adapters: readonly Adapter[]): void {
  if (adapters.length < 2) return;
  const pair = (one: Adapter, why: string, expected: string): never => {
    const other = adapters.find((adapter) => adapter !== one)!;
    throw new AdapterError(
      `${where}: adapters '${one.name}' and '${other.name}': ${why}, expected ${expected}`,
    );
  };
  const dora = adapters.find(({ config }) => config.useDora);
  if (dora !== undefined) pair(dora, `'${dora.name}' is DoRA`, 'DoRA active alone');
  const carrying = adapters.filter(({ copies }) => copies.length > 0);
  if (carrying.length > 1)
    throw new AdapterError(
      `${where}: adapters '${carrying[0]!.name}' and '${carrying[1]!.name}' both carry trained biases or saved modules, expected at most one that does`,
    );
  const changed = adapters.filter(({ changedLayers }) => changedLayers.length > 0);
  const clash = changed[0]?.changedLayers.find(({ layer }) =>
    changed[1]?.changedLayers.some((other) => other.layer === layer),
  );
  if (clash !== undefined)
    throw new AdapterError(
      `${where}: adapters '${changed[0]!.name}' and '${changed[1]!.name}' each have a changed base of '${clash.path}', expected at most one that does`,
    );
}
