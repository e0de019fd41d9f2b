/** Tied weights: one parameter that several modules of a model hold. */
import { dotted, type Module } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';

/**
 * Parameters with more than one holder, and the dotted names of all.
 * @param meant - the parameter that counts where another stands for the time being
 */
export function tiedParameters(
  model: Module,
  meant: (parameter: Parameter) => Parameter,
): Map<Parameter, string[]> {
  const holders = new Map<Parameter, string[]>();
  for (const [path, module] of model.namedModules()) {
    for (const slot of module.parameterSlots()) {
      const parameter = meant(slot.get());
      holders.set(parameter, [...(holders.get(parameter) ?? []), dotted(path, slot.name)]);
    }
  }
  return new Map([...holders].filter(([, names]) => names.length > 1));
}
