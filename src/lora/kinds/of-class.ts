/**
 * How a module is adapted, found from its class: the nearest class, its own first, that has a static `adaptation`, or that is
 * Linear, Embedding or Conv2d. These stand in a room below this one and cannot name what is here.
 */
import { Conv2d } from '../../nn/conv2d.js';
import { Embedding } from '../../nn/embedding.js';
import { Linear } from '../../nn/linear.js';
import type { Module } from '../../nn/module.js';
import { describe } from '../../values/checks.js';
import { AdapterError } from '../errors.js';
import type { BaseLayer, LayerAdaptation, LayerKind } from './adaptation.js';
import { checkParameters } from './check.js';
import { conv2dAdaptation } from './conv2d.js';
import { embeddingAdaptation } from './embedding.js';
import { linearAdaptation } from './linear.js';

const LINEAR = /* @__PURE__ */ linearAdaptation<Linear>({ fanInFanOut: (layer) => layer.fanInFanOut });
const EMBEDDING = /* @__PURE__ */ embeddingAdaptation<Embedding>();
const CONV2D = /* @__PURE__ */ conv2dAdaptation<Conv2d>();

/** A class that says how its layers are adapted, and what it says. */
interface Said {
  readonly name: string;
  readonly prototype: Module;
  readonly adaptation: unknown;
}

/** Null where no class of the module's says how. */
function saidOf(module: Module): Said | null {
  for (
    let made: unknown = module.constructor;
    typeof made === 'function';
    made = Object.getPrototypeOf(made)
  ) {
    const { name, prototype } = made;
    if (Object.hasOwn(made, 'adaptation'))
      return { name, prototype, adaptation: Reflect.get(made, 'adaptation') };
    if (made === Linear) return { name, prototype, adaptation: LINEAR };
    if (made === Embedding) return { name, prototype, adaptation: EMBEDDING };
    if (made === Conv2d) return { name, prototype, adaptation: CONV2D };
  }
  return null;
}

/** The kind of layers that a module is of; null for one that no adapter goes on. */
export function kindOfPlain(module: Module): LayerKind | null {
  const said = saidOf(module);
  return said === null ? null : isAdaptation(said.adaptation) ? said.adaptation.kind : 'linear';
}

/** A layer with how it is adapted. */
export interface Adaptable {
  readonly base: BaseLayer;
  readonly adaptation: LayerAdaptation;
}

/**
 * How a module is adapted; null where its class does not say.
 * @throws AdapterError for one with a forward that its class's description would not compute, for a static that is no description,
 * and for parameters that do not fit it; Error after dispose
 */
export function adaptableOf(where: string, module: Module): Adaptable | null {
  const said = saidOf(module);
  if (said === null) return null;
  const { name, prototype, adaptation } = said;
  const own = module.constructor.name;
  if (module.forward !== prototype.forward)
    throw new AdapterError(
      `${where} is a ${name}${own === name ? '' : ` (${own})`} with a forward of its own, which its LoRA layer would not compute; expected one without, or a static adaptation of its class that says what it computes`,
    );
  if (!isAdaptation(adaptation))
    throw new AdapterError(
      `${where}: the static adaptation of ${name} is ${describe(adaptation)}, expected what linearAdaptation, embeddingAdaptation or conv2dAdaptation gives`,
    );
  checkParameters(where, module, adaptation);
  return { base: module, adaptation };
}

function isAdaptation(value: unknown): value is LayerAdaptation {
  if (value === null || typeof value !== 'object' || !('kind' in value)) return false;
  const { kind } = value;
  const known = kind === 'linear' || kind === 'embedding' || kind === 'conv2d';
  return known && 'product' in value && 'addDelta' in value && 'withWeight' in value;
}
