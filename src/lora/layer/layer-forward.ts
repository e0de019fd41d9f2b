/**
 * One layer's forward: the terms of the adapters that take part, each with dropout masks of its own, or each row of the
 * batch with its own adapter. The arithmetic is the layer's kind's.
 */
import type { LoraTerm } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import { AdapterError } from '../errors.js';
import { strengthOf } from '../maths/factors.js';
import type { LayerAdapters } from './layer-adapters.js';
import type { LoraLayer } from './lora-layer.js';
import { byRows, type Rows } from './rows.js';

export class LayerForward {
  readonly #layer: LoraLayer;
  readonly #adapters: LayerAdapters;
  readonly #maskLayer: number;
  #maskStep = 0;
  /** What the rows of the next batch use, or null for the active adapters. */
  rows: Rows | null = null;

  constructor(layer: LoraLayer, adapters: LayerAdapters) {
    this.#layer = layer;
    this.#adapters = adapters;
    this.#maskLayer = layer.runtime.engine.layers++;
  }

  restartMasks(): void {
    this.#maskStep = 0;
  }

  /** @param merged - names of the adapters that the weight has in it already @throws TypeError, RangeError, AdapterError */
  run(x: Tensor, merged: readonly string[]): Tensor {
    const layer = this.#layer;
    if (merged.length > 0 && layer.runtime.gradEnabled) this.#checkFrozen(merged);
    const { rows } = this;
    return layer.runtime.attempt(() => {
      if (rows !== null) return this.#byRows(x, rows);
      const active = layer.enabled ? this.#adapters.active.filter((name) => !merged.includes(name)) : [];
      return this.#compute(x, active, layer.weight);
    });
  }

  #checkFrozen(merged: readonly string[]): void {
    const trainable = merged.find((name) => {
      const { A, B } = this.#adapters.get(name, 'forward');
      return A.requiresGrad || B.requiresGrad;
    });
    if (trainable !== undefined)
      throw new AdapterError(
        `${this.#layer.constructor.name}.forward: adapter '${trainable}' is merged and requires gradients, expected unmerge() first or rt.noGrad`,
      );
  }

  #compute(x: Tensor, names: readonly string[], weight: Parameter, planRows?: number): Tensor {
    const layer = this.#layer;
    const factors = names.map((name) => this.#adapters.get(name, 'forward'));
    const [first] = factors;
    if (first === undefined) return layer.computeBase(x, weight, planRows);
    const step = layer.training ? this.#takeStep() : 0;
    const terms = factors.map((own, i): LoraTerm => {
      const { A, B, bias, ranges, options } = own;
      const dropout = layer.training && layer.kind !== 'embedding' ? options.loraDropout : 0;
      const mask = { maskLayer: this.#maskLayer, maskStep: step * 256 + i };
      return { A, B, bias, ranges, scaling: strengthOf(own), dropout, ...mask };
    });
    if (first.magnitude === null) return layer.computeAdapted(x, weight, terms, null, planRows);
    const norms = layer.runtime.empty([layer.outputs], 'f32');
    layer.norms(first, weight, norms.pointer);
    const y = layer.computeAdapted(x, weight, terms, { magnitude: first.magnitude, norms }, planRows);
    norms.dispose();
    return y;
  }

  /** The number of the next masks; a forward that fails gives it back. */
  #takeStep(): number {
    const step = this.#maskStep++;
    this.#layer.runtime.ifFails(() => {
      this.#maskStep = step;
    });
    return step;
  }

  /** Each row with its own adapter, on the path of the whole batch. */
  #byRows(x: Tensor, rows: Rows): Tensor {
    const layer = this.#layer;
    const planRows = layer.planRowsOf(x);
    const has = (name: string): boolean => layer.enabled && this.#adapters.find(name) !== undefined;
    return byRows(`${layer.constructor.name}.forward`, x, rows, has, (name, part) => {
      const names = has(name) ? [name] : [];
      const changed = has(name) ? this.#adapters.get(name, 'forward').changed : null;
      return this.#compute(part, names, changed?.weight ?? layer.base.weight, planRows);
    });
  }
}
