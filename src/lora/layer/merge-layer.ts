/**
 * What is merged into one layer, and the way back: the weight's bytes (and the bias's) as they were before the first merge.
 * Nothing is ever subtracted. A tied weight is not touched: the layer computes with a copy of its own while merged; so it
 * does for a grouped convolution, whose merged weight sees every channel, and for a quantised weight that is dequantised. Every
 * change takes its memory before it changes anything, and is undone without taking any: a model's merge can fail at its last
 * layer and leave all of them as they were.
 */
import type { Parameter } from '../../tensor/parameter.js';
import { AdapterError } from '../errors.js';
import type { BaseLayer } from '../kinds/adaptation.js';
import { intoBase } from './into-base.js';
import { bytesNow, type Kept, type Targets, writeKept } from './kept-values.js';
import type { LayerState } from './layer-state.js';
import type { MergeOptions, QuantisedMerge } from './merge-options.js';
import { type Addend, checkMerge, type Sum, sumOf, valuesOf } from './merge-sum.js';

/** A change that was made: `undo` takes it back and cannot fail; `done` lets go of what undoing would need. */
export interface MergeStep {
  undo(): void;
  done(): void;
}

/** The base layer to be given back: `commit` takes no memory; `cancel` gives back what was taken for it. */
export interface Finish {
  /** Of a quantised weight, the share of the deltas that is kept in it; null for others. */
  readonly survived: number | null;
  /** The weight that the layer will have. */
  readonly weight: Parameter;
  commit(): BaseLayer;
  cancel(): void;
}

/** What is merged, with the values that were there before. */
interface Merged extends Kept, Targets {
  readonly names: readonly string[];
  /** The weight in the base's place while merged, where the base's own may not change. */
  readonly standIn: Parameter | null;
  /** Of a quantised weight, what was asked for, and the share of the deltas that is kept; else null. */
  readonly asked: QuantisedMerge | null;
  readonly survived: number | null;
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

  /** Of a quantised weight that is merged into, the share of the deltas that is kept; else null. */
  get survived(): number | null {
    return this.#merged?.survived ?? null;
  }

  /** Adds the deltas of `names`. @throws AdapterError, OutOfMemoryError; nothing has changed then */
  merge(where: string, names: readonly string[], options: MergeOptions): MergeStep {
    checkMerge(where, this.#layer, this.names, names);
    if (names.length === 0) return { undo: () => {}, done: () => {} };
    const layer = this.#layer;
    const merged = this.#merged;
    const all = [...this.names, ...names];
    const like = this.standIn ?? layer.unmergedWeight;
    const quantised = merged?.asked ?? options.quantised ?? null;
    if (
      options.quantised !== undefined &&
      merged !== null &&
      merged.asked !== null &&
      quantised !== options.quantised
    )
      throw new AdapterError(
        `${where}: quantised is '${options.quantised}' where ${merged.names.join(', ')} are merged with '${quantised}', expected the same`,
      );
    // Of other types than float32, what is merged was rounded: the sum is made anew from the kept bytes, to be rounded once.
    const anew = merged !== null && like.dtype !== 'f32';
    const to = anew ? this.#kept(merged) : { like, weight: null, bias: layer.bias };
    const sum = sumOf(where, layer, anew ? all : names, to, { safe: options.safe ?? false, quantised });
    return this.#put(all, sum, quantised);
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
    const merged = this.#merged!;
    const options = { safe: false, quantised: merged.asked };
    return this.#put(names, sumOf(where, this.#layer, names, this.#kept(merged), options), merged.asked);
  }

  /** What was there before anything was merged. */
  #kept({ weight, target, bias }: Merged): Addend {
    return { like: target, weight, bias };
  }

  /** Takes everything out again. Takes no memory. */
  restore(): void {
    const merged = this.#merged;
    if (merged === null) return;
    writeKept(merged, merged);
    this.#merged = null;
    merged.standIn?.block.dispose();
  }

  /** Runs `fn` with the kept bytes in place, and puts the merged ones back whatever happens. */
  withoutMerged<T>(fn: () => T): T {
    const merged = this.#merged;
    if (merged === null) return fn();
    const back = bytesNow(merged);
    writeKept(merged, merged);
    this.#merged = null;
    try {
      return fn();
    } finally {
      writeKept(merged, back);
      this.#merged = merged;
    }
  }

  /**
   * The base layer for good: a merged weight that lies elsewhere moves into it.
   * @param where - who asks, for an error
   * @param weight - what the layer computes with now: where it is off, the base's own
   * @param quantised - what becomes of a quantised weight into which values move
   * @throws AdapterError, OutOfMemoryError; nothing has changed then
   */
  finish(where: string, weight: Parameter, quantised: QuantisedMerge | null): Finish {
    const { base, adaptation } = this.#layer;
    const { standIn, tied, survived } = this;
    if (standIn === null && weight === base.weight)
      return this.#finishing({ weight, survived, commit: () => base, cancel: () => {} });
    const before = base.weight;
    if (standIn !== null) {
      const give = adaptation.withWeight(base, standIn, tied);
      // In the place of a weight that is nobody's then: it was dequantised.
      const gone = !tied && standIn.size === before.size ? before : null;
      const commit = (): BaseLayer => {
        const layer = give();
        gone?.block.dispose();
        return layer;
      };
      return this.#finishing({ weight: standIn, survived, commit, cancel: () => {} });
    }
    // The adapter's own base goes with the adapter: its values move on, into the type that the base's have.
    const into = intoBase(where, before, valuesOf(weight), tied, quantised);
    const give = into.replaces ? adaptation.withWeight(base, into.parameter, tied) : () => base;
    const commit = (): BaseLayer => {
      into.commit();
      const layer = give();
      if (into.replaces && !tied) before.block.dispose();
      return layer;
    };
    return this.#finishing({ weight: into.parameter, survived: into.survived, commit, cancel: into.cancel });
  }

  #finishing(finish: Finish): Finish {
    const commit = (): BaseLayer => {
      this.#merged = null;
      return finish.commit();
    };
    return { ...finish, commit };
  }

  dispose(): void {
    this.standIn?.block.dispose();
    this.#merged = null;
  }

  /** Puts a sum in the place of what the layer computes with. All of the memory is taken before anything changes. */
  #put(
    names: readonly string[],
    { weight: sum, bias, survived }: Sum,
    asked: QuantisedMerge | null,
  ): MergeStep {
    const before = this.#merged;
    const start = before ?? this.#start(sum);
    const back = before === null ? start : bytesNow(before);
    const apart = start.weight === null;
    this.#merged = {
      ...{ ...start, names, standIn: apart ? sum : null },
      ...{ asked: survived === null ? start.asked : asked, survived: survived ?? start.survived },
    };
    const { target, biasTarget } = start;
    const storages = [target.storage, ...(biasTarget === null ? [] : [biasTarget.storage])];
    const versions = storages.map(({ version }) => version);
    if (!apart) {
      target.set(sum);
      sum.block.dispose();
    }
    writeKept(start, { weight: null, bias });
    return {
      undo: () => {
        if (apart) sum.block.dispose();
        writeKept(start, back);
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
    const apart = (tied && target === base.weight) || sum.size !== target.size || sum.dtype !== target.dtype;
    return {
      ...{ names: [], standIn: null, target, biasTarget: bias, asked: null, survived: null },
      ...{ weight: apart ? null : target.bytes(), bias: bias === null ? null : valuesOf(bias) },
    };
  }
}
