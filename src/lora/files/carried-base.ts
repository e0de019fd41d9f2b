/**
 * Weights of the base that stand in an adapter's file. PEFT saves those of adapted embeddings and heads beside their factors.
 * They are this model's own or the adapter belongs to another base: nothing is overwritten.
 */
import { nameInBase } from '../../formats/peft-keys.js';
import { dotted, type Module } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import { sameShape, showShape } from '../../values/shape.js';
import { LoraLayer } from '../layer/lora-layer.js';
import type { NamedTensors } from './file-values.js';

/** What the keys that name parameters of the base turned out to be. */
export interface CarriedBase {
  /** Keys whose values are the base's. */
  readonly same: readonly string[];
  /** In words, those whose values are others. */
  readonly different: readonly string[];
}

/**
 * @param left - keys of the file that no tensor of the adapter took; what names no parameter of the base is passed over
 * @param model - the base alone
 */
export function carriedBase(
  file: NamedTensors,
  left: ReadonlySet<string>,
  prefix: string,
  model: Module,
): CarriedBase {
  if (left.size === 0) return { same: [], different: [] };
  return compare(file, left, prefix, baseParameters(model));
}

function compare(
  file: NamedTensors,
  keys: Iterable<string>,
  prefix: string,
  parameters: ReadonlyMap<string, Parameter>,
): CarriedBase {
  const same: string[] = [];
  const different: string[] = [];
  for (const key of keys) {
    const parameter = key.startsWith(prefix)
      ? parameters.get(nameInBase(key.slice(prefix.length)))
      : undefined;
    if (parameter === undefined) continue;
    const { shape } = file.info(key);
    if (!sameShape(shape, parameter.shape))
      different.push(`${key} is ${showShape(shape)} and the base's is ${showShape(parameter.shape)}`);
    else if (!equal(file.f32(key), parameter)) different.push(`${key} has other values than the base's`);
    else same.push(key);
  }
  return { same, different };
}

function baseParameters(model: Module): Map<string, Parameter> {
  const parameters = new Map<string, Parameter>();
  for (const [path, module] of model.namedModules()) {
    const plain = module instanceof LoraLayer ? module.base : module;
    for (const [name, parameter] of plain.ownParameters()) parameters.set(dotted(path, name), parameter);
  }
  return parameters;
}

function equal(values: Float32Array, parameter: Tensor): boolean {
  const own = parameter.toArray();
  return values.every((value, i) => value === own[i] || (Number.isNaN(value) && Number.isNaN(own[i])));
}
