/**
 * What is merged into one layer, and the way back: the weight's bytes (and the bias's) as they were before the first merge.
 * Nothing is ever subtracted. A tied weight is not touched: the layer computes with a copy of its own while merged; so
 * does a grouped convolution, whose merged weight sees every channel. Every change takes its memory before it changes
 * anything, and is undone without taking any: a model's merge can fail at its last layer and leave all of them as they were.
 */
import { type Parameter, ParameterBlock } from '../../tensor/parameter.js';
import { AdapterError } from '../errors.js';
import type { BaseLayer } from '../kinds/adaptation.js';
import type { MergeOptions } from '../maths/factors.js';
import type { LayerState } from './layer-state.js';
import {
  type Addend,
  type Bytes,
  checkMerge,
  checkNumbers,
  type Sum,
  sumOf,
  type Values,
  valuesOf,
} from './merge-sum.js';

/** A change that was made: `undo` takes it back and cannot fail; `done` lets go of what undoing would need. */
export interface MergeStep {
  undo(): void;
  done(): void;
}

/** The base layer to be given back: `commit` takes no memory; `cancel` gives back what was taken for it. */
export interface Finish {
  commit(): BaseLayer;
  cancel(): void;
}

/** Values that were overwritten; of the weight none where a stand-in leaves it untouched. */
interface Kept {
  readonly weight: Bytes | null;
  readonly bias: Values | null;
}

/** What is merged, with the values that were there before. */
interface Merged extends Kept {
  readonly names: readonly string[];
  readonly target: Parameter;
  readonly biasTarget: Parameter | null;
  /** The weight in the base's place while merged, where the base's own may not change. */
  readonly standIn: Parameter | null;
}

export class MergeState {
  readonly #layer: LayerState;
  #merged: Merged | null = null;
  /** Whether another layer holds the same weight. */
  tied = false;

  constructor(layer: LayerState) {
    this.#layer = layer;
  }

  get names(): readonly string[] {
    return this.#merged?.names ?? [];
  }

  /** The weight in the base's place while merged, where the base's own may not change. */
  get standIn(): Parameter | null {
    return this.#merged?.standIn ?? null;
  }

  /** Adds the deltas of `names`. @throws AdapterError, OutOfMemoryError; nothing has changed then */
  merge(where: string, names: readonly string[], options: MergeOptions): MergeStep {
    checkMerge(where, this.#layer, this.names, names);
    if (names.length === 0) return { undo: () => {}, done: () => {} };
    const layer = this.#layer;
    const all = [...this.names, ...names];
    const like = this.standIn ?? layer.unmergedWeight;
    // Of 16 bits, what is merged was rounded: the sum is made anew from the kept bytes, to be rounded once.
    if (this.#merged !== null && like.dtype !== 'f32')
      return this.#put(all, sumOf(where, layer, all, this.#kept(this.#merged), options));
    return this.#put(all, sumOf(where, layer, names, { like, weight: null, bias: layer.bias }, options));
  }

  /** Which of the merged adapters would stay without `names`. @throws AdapterError when one of them is not merged */
  without(where: string, names: readonly string[]): string[] {
    const merged = this.names;
    if (merged.length === 0) throw new AdapterError(`${where}: nothing is merged, expected merge() before`);
    const stranger = names.find((name) => !merged.includes(name));
    if (stranger !== undefined)
      throw new AdapterError(
        `${where}: adapter '${stranger}' is not merged, expected some of ${merged.join(', ')}`,
      );
    return merged.filter((name) => !names.includes(name));
  }

  /** The kept bytes with these of the merged adapters merged anew. @throws OutOfMemoryError; nothing has changed then */
  keepOnly(where: string, names: readonly string[]): MergeStep {
    return this.#put(names, sumOf(where, this.#layer, names, this.#kept(this.#merged!), {}));
  }

  /** What was there before anything was merged. */
  #kept({ weight, target, bias }: Merged): Addend {
    return { like: target, weight, bias };
  }

  /** Takes everything out again. Takes no memory. */
  restore(): void {
    const merged = this.#merged;
    if (merged === null) return;
    write(merged, merged);
    this.#merged = null;
    merged.standIn?.block.dispose();
  }

  /** Runs `fn` with the kept bytes in place, and puts the merged ones back whatever happens. */
  withoutMerged<T>(fn: () => T): T {
    const merged = this.#merged;
    if (merged === null) return fn();
    const back = bytesNow(merged);
    write(merged, merged);
    this.#merged = null;
    try {
      return fn();
    } finally {
      write(merged, back);
      this.#merged = merged;
    }
  }

  /**
   * The base layer for good: a merged weight that lies elsewhere moves into it.
   * @param where - who asks, for an error
   * @param weight - what the layer computes with now: where it is off, the base's own
   * @throws AdapterError, OutOfMemoryError; nothing has changed then
   */
  finish(where: string, weight: Parameter): Finish {
    const { base, adaptation, runtime } = this.#layer;
    const { standIn, tied } = this;
    const keep = (commit: () => BaseLayer, cancel = (): void => {}): Finish => ({
      commit: () => {
        this.#merged = null;
        return commit();
      },
      cancel,
    });
    if (standIn !== null) return keep(adaptation.withWeight(base, standIn, tied));
    if (weight === base.weight) return keep(() => base);
    checkNumbers(where, 'base weight', base.weight);
    // The adapter's own base goes with the adapter: its values move on, into the type that the base's have.
    const values = valuesOf(weight);
    if (tied) {
      // The other holders keep the weight they share.
      const own = new ParameterBlock(runtime, [weight.shape], base.weight.dtype).parameters[0]!;
      own.set(values);
      return keep(adaptation.withWeight(base, own, tied), () => own.block.dispose());
    }
    return keep(() => {
      base.weight.set(values);
      return base;
    });
  }

  dispose(): void {
    this.standIn?.block.dispose();
    this.#merged = null;
  }

  /** Puts a sum in the place of what the layer computes with. All of the memory is taken before anything changes. */
  #put(names: readonly string[], { weight: sum, bias }: Sum): MergeStep {
    const before = this.#merged;
    const start = before ?? this.#start(sum);
    const back = before === null ? start : bytesNow(before);
    const apart = start.weight === null;
    this.#merged = { ...start, names, standIn: apart ? sum : null };
    const { target, biasTarget } = start;
    const storages = [target.storage, ...(biasTarget === null ? [] : [biasTarget.storage])];
    const versions = storages.map(({ version }) => version);
    if (!apart) {
      target.set(sum);
      sum.block.dispose();
    }
    write(start, { weight: null, bias });
    return {
      undo: () => {
        if (apart) sum.block.dispose();
        write(start, back);
        // The bits of before, and nothing was recorded since: a graph that waits for its backward is still right.
        for (const [i, storage] of storages.entries()) storage.version = versions[i]!;
        this.#merged = before;
      },
      done: () => before?.standIn?.block.dispose(),
    };
  }

  /** What a first merge keeps. */
  #start(sum: Parameter): Merged {
    const { tied } = this;
    const { base, bias, unmergedWeight: target } = this.#layer;
    const apart = (tied && target === base.weight) || sum.size !== target.size;
    return {
      ...{ names: [], standIn: null, target, biasTarget: bias },
      ...{ weight: apart ? null : target.bytes(), bias: bias === null ? null : valuesOf(bias) },
    };
  }
}

/** Copies of what the layer computes with now; of a stand-in none, which is kept as it is. */
function bytesNow({ weight, target, biasTarget }: Merged): Kept {
  return {
    weight: weight === null ? null : target.bytes(),
    bias: biasTarget === null ? null : valuesOf(biasTarget),
  };
}

function write({ target, biasTarget }: Merged, { weight, bias }: Kept): void {
  if (weight !== null) target.writeBytes(weight);
  if (bias !== null) biasTarget?.set(bias);
}
