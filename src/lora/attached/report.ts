/** What `LoraModel.report()` says: what is wrapped, loaded, trainable, merged, at which scale, and what matched nothing. */
import { dotted } from '../../nn/module.js';
import type { LayerKind } from '../kinds/adaptation.js';
import { strengthOf } from '../maths/factors.js';
import type { Adapter } from './adapter.js';
import type { Attachment } from './attachment.js';

/** One adapter on one layer. */
export interface LayerReport {
  readonly path: string;
  readonly kind: LayerKind;
  readonly r: number;
  readonly loraAlpha: number;
  /** alpha/r, or alpha/√r. */
  readonly scaling: number;
  /** The user's multiplier. */
  readonly multiplier: number;
  /** scaling·multiplier: what B·A is multiplied by. */
  readonly strength: number;
  readonly dora: boolean;
  readonly merged: boolean;
  /** Where it is merged into a quantised weight, the share of what is merged there that the weight has of it; else null. */
  readonly survived: number | null;
}

/** One adapter of a `LoraReport`, and the layers that it adapts. */
export interface AdapterReport {
  readonly name: string;
  readonly active: boolean;
  readonly trainable: boolean;
  /** Whether it is merged in one layer at least; `layers` says in which. */
  readonly merged: boolean;
  /** `'changed'` where an initialisation left it a base of its own. */
  readonly base: 'original' | 'changed';
  /** Its trained values. */
  readonly parameters: number;
  readonly layers: readonly LayerReport[];
  /** Names of the biases it has trained copies of. */
  readonly biases: readonly string[];
  /** Names of the parameters of modules saved whole. */
  readonly saved: readonly string[];
  /** Modules that a target matches and that an exclusion, a layer filter or `modulesToSave` left out. */
  readonly excluded: readonly string[];
  /** Keys of patterns that decide nothing: an earlier key matches first, or the module is not adapted. */
  readonly unused: readonly string[];
  /** What matched no module when it was loaded with `strict: false`. */
  readonly unmatched: readonly string[];
  /** What its options say and the layers do otherwise, and weak scales. */
  readonly notes: readonly string[];
}

/** What `LoraModel.report` gives: every adapter with its layers, and the same as text by `toString()`. */
export interface LoraReport {
  readonly adapters: readonly AdapterReport[];
  /** Dotted names of the LoRA layers. */
  readonly wrapped: readonly string[];
  /** Parameters that several modules hold: a merge gives the adapted layer a copy of its own. */
  readonly tied: readonly (readonly string[])[];
  /** The same as lines of text. */
  toString(): string;
}

export function reportOf(attachment: Attachment): LoraReport {
  const { adapters, places } = attachment;
  const wrapped = places.paths;
  const tied = [...attachment.tied().values()];
  const list = adapters.all.map((adapter) => adapterReport(adapter, adapters.active.includes(adapter.name)));
  return { adapters: list, wrapped, tied, toString: () => textOf(list, wrapped, tied) };
}

function adapterReport(adapter: Adapter, active: boolean): AdapterReport {
  const { name, plan, copies, block } = adapter;
  const layers = plan.layers.map(({ path, layer, options }): LayerReport => {
    const { scaling, multiplier } = layer.factors(name);
    return {
      ...{ path, kind: layer.kind, r: options.r, loraAlpha: options.loraAlpha, scaling, multiplier },
      ...{ strength: strengthOf({ scaling, multiplier }), dora: options.useDora },
      merged: layer.mergedAdapters.includes(name),
      survived: layer.mergedAdapters.includes(name) ? layer.merging.survived : null,
    };
  });
  const named = (kind: 'bias' | 'saved'): string[] =>
    copies.filter((copy) => copy.kind === kind).map(({ path, slot }) => dotted(path, slot.name));
  return {
    ...{ name, active, trainable: adapter.trainable, merged: layers.some(({ merged }) => merged) },
    base: adapter.changedLayers.length > 0 ? 'changed' : 'original',
    parameters: block.parameters.reduce((sum, { size }) => sum + size, 0),
    ...{ layers, biases: named('bias'), saved: named('saved') },
    ...{ excluded: plan.excluded, unused: plan.unused, unmatched: plan.unmatched, notes: plan.notes },
  };
}

function textOf(
  adapters: readonly AdapterReport[],
  wrapped: readonly string[],
  tied: readonly (readonly string[])[],
): string {
  const lines = [`${wrapped.length} LoRA layers, ${adapters.length} adapters`];
  for (const adapter of adapters) {
    const states = [
      adapter.active ? 'active' : 'inactive',
      adapter.trainable ? 'trainable' : 'frozen',
      ...mergedWords(adapter.layers),
      ...(adapter.base === 'changed' ? ['over a changed base'] : []),
    ];
    lines.push(`${adapter.name}: ${states.join(', ')}, ${adapter.parameters.toLocaleString('en-US')} values`);
    for (const { path, kind, r, loraAlpha, strength, dora, survived } of adapter.layers) {
      const kept = survived === null ? '' : `, ${(100 * survived).toFixed(1)} % of the delta survived`;
      lines.push(
        `  ${path} (${kind}): r ${r}, alpha ${loraAlpha}, scale ${strength}${dora ? ', DoRA' : ''}${kept}`,
      );
    }
    for (const [title, names] of [
      ['biases', adapter.biases],
      ['saved', adapter.saved],
      ['left out', adapter.excluded],
      ['without effect', adapter.unused],
      ['matched nothing', adapter.unmatched],
      ['note', adapter.notes],
    ] as const)
      if (names.length > 0) lines.push(`  ${title}: ${names.join(', ')}`);
  }
  for (const names of tied) lines.push(`tied: ${names.join(' = ')}`);
  return lines.join('\n');
}

function mergedWords(layers: readonly LayerReport[]): string[] {
  const count = layers.filter(({ merged }) => merged).length;
  if (count === 0) return [];
  return [count === layers.length ? 'merged' : `merged in ${count} of ${layers.length} layers`];
}
