/**
 * One layer's forward: what its class computes, over a product with the terms of the adapters that take part, each with dropout
 * masks of its own, or over each row of the batch with its own adapter. The arithmetic is the description's.
 */
import { MaskCounter } from '../../nn/mask-counter.js';
import type { MaskPlace } from '../../ops/dropout.js';
import type { LoraTerm } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import { AdapterError } from '../errors.js';
import { strengthOf } from '../maths/factors.js';
import { KeptNorms } from './kept-norms.js';
import type { LayerState } from './layer-state.js';
import { byRows, type Rows } from './rows.js';

/** The layer as it is at a forward. */
export interface ForwardMode {
  /** Whether the adapters take part. */
  readonly enabled: boolean;
  readonly training: boolean;
  /** The weight that the active adapters go with. */
  readonly weight: Parameter;
}

const NO_TERMS: readonly LoraTerm[] = [];

export class LayerForward {
  readonly #state: LayerState;
  readonly #mode: ForwardMode;
  readonly masks: MaskCounter;
  /** Names of the adapters that the weight has in it already. */
  readonly #merged: () => readonly string[];
  readonly #norms = new KeptNorms();
  /** What the rows of the next batch use, or null for the active adapters. */
  rows: Rows | null = null;

  constructor(state: LayerState, mode: ForwardMode, merged: () => readonly string[]) {
    this.#state = state;
    this.#mode = mode;
    this.#merged = merged;
    this.masks = new MaskCounter(state.runtime);
  }

  /** @throws TypeError, RangeError, AdapterError */
  run(x: Tensor, more: readonly unknown[]): Tensor {
    const { base, adaptation, runtime } = this.#state;
    const { around } = adaptation;
    if (around === null) return this.#product(x);
    // The base stands in no tree, and a forward may ask it.
    base.setMode(this.#mode.training);
    return runtime.attempt(() => around.call(base, (part) => this.#product(part), [x, ...more]));
  }

  /** The layer's product. */
  #product(x: Tensor): Tensor {
    const { runtime, active } = this.#state;
    const merged = this.#merged();
    if (merged.length > 0 && runtime.gradEnabled) this.#checkFrozen(merged);
    const { rows } = this;
    return runtime.attempt(() => {
      if (rows !== null) return this.#byRows(x, rows);
      const { enabled, weight } = this.#mode;
      if (!enabled) return this.#compute(x, [], weight);
      return this.#compute(
        x,
        merged.length === 0 ? active : active.filter((name) => !merged.includes(name)),
        weight,
      );
    });
  }

  #checkFrozen(merged: readonly string[]): void {
    const trainable = merged.find((name) => {
      const { A, B } = this.#state.get(name, 'forward');
      return A.requiresGrad || B.requiresGrad;
    });
    if (trainable !== undefined)
      throw new AdapterError(
        `${this.#state.adaptation.title}.forward: adapter '${trainable}' is merged and requires gradients, expected unmerge() first or rt.noGrad`,
      );
  }

  #compute(x: Tensor, names: readonly string[], weight: Parameter, planRows?: number): Tensor {
    const { base, adaptation, runtime } = this.#state;
    if (names.length === 0)
      return adaptation.product(base, x, { weight, terms: NO_TERMS, dora: null, planRows });
    const step = this.#mode.training ? this.masks.take().step : 0;
    const terms = names.map((name, i) => this.#term(name, this.masks.at(step * 256 + i)));
    const first = this.#state.get(names[0]!, 'forward');
    const { magnitude } = first;
    if (magnitude === null) return adaptation.product(base, x, { weight, terms, dora: null, planRows });
    const norms = runtime.empty([adaptation.outputs(base)], 'f32');
    this.#norms.fill(norms, first, weight, () => adaptation.norms(base, first, weight, norms.pointer));
    const y = adaptation.product(base, x, { weight, terms, dora: { magnitude, norms }, planRows });
    norms.dispose();
    return y;
  }

  #term(name: string, mask: MaskPlace): LoraTerm {
    const factors = this.#state.get(name, 'forward');
    const { A, B, bias, ranges, options } = factors;
    const drops = this.#mode.training && this.#state.adaptation.kind !== 'embedding';
    const dropout = drops ? options.loraDropout : 0;
    const scaling = strengthOf(factors);
    return { A, B, bias, ranges, scaling, dropout, mask };
  }

  /** Each row with its own adapter, on the path of the whole batch. */
  #byRows(x: Tensor, rows: Rows): Tensor {
    const state = this.#state;
    const { enabled } = this.#mode;
    const planRows = state.adaptation.planRows(x);
    const has = (name: string): boolean => enabled && state.has(name);
    return byRows(`${state.adaptation.title}.forward`, x, rows, has, (name, part) => {
      const factors = has(name) ? state.get(name, 'forward') : null;
      const weight = factors?.changed?.weight ?? state.base.weight;
      return this.#compute(part, factors === null ? [] : [name], weight, planRows);
    });
  }
}
