/** The parameters that optimisers and clipping take, alone or in groups with settings of their own: checks and defaults. */

import { Parameter, type ParameterGroup } from '../tensor/parameter.js';
import { checkNumber, checkOptions, describe } from '../values/checks.js';
import { showShape } from '../values/shape.js';

/** A group whose settings are complete. */
export interface ResolvedGroup {
  readonly parameters: readonly Parameter[];
  /** What it begins with. */
  readonly lr: number;
  readonly weightDecay: number;
}

/**
 * Parameters, or groups of them, as groups in their order. Groups may be empty, all together may not, and each parameter
 * trains: an optimiser over frozen ones would do nothing and say nothing.
 * @throws TypeError, RangeError; Error for a parameter that is disposed of or frozen
 */
export function checkGroups(
  where: string,
  given: unknown,
  defaults: { readonly lr: number; readonly weightDecay: number },
): ResolvedGroup[] {
  if (!Array.isArray(given))
    throw new TypeError(
      `${where}: parameters is ${describe(given)}, expected an array of Parameters or groups`,
    );
  // Copies, in which a hole is undefined: what the caller does to the arrays later changes nothing.
  const entries: unknown[] = [...given];
  const groups = entries.some(isGroup) ? entries : [{ parameters: entries }];
  const resolved = groups.map((group: unknown, i): ResolvedGroup => {
    const at = `${where}: group ${i}`;
    if (!isGroup(group))
      throw new TypeError(`${at} is ${describe(group)}, expected { parameters, lr, weightDecay }`);
    checkOptions(at, group, ['parameters', 'lr', 'weightDecay']);
    return {
      parameters: [...group.parameters],
      lr: checkNumber(`${at}: lr`, group.lr ?? defaults.lr, 0, Number.MAX_VALUE),
      weightDecay: checkNumber(
        `${at}: weightDecay`,
        group.weightDecay ?? defaults.weightDecay,
        0,
        Number.MAX_VALUE,
      ),
    };
  });
  const parameters = checkParameters(
    where,
    resolved.flatMap((group) => group.parameters),
  );
  const frozen = parameters.findIndex(({ requiresGrad }) => !requiresGrad);
  if (frozen >= 0)
    throw new Error(
      `${where}: ${nameOf(parameters, frozen)} is frozen, expected parameters that require gradients (trainableParameters() gives them)`,
    );
  return resolved;
}

/** A parameter in the words of an error message. */
function nameOf(parameters: readonly Parameter[], i: number): string {
  const { shape, dtype } = parameters[i]!;
  return `parameter ${i} ${showShape(shape)}${dtype === 'f32' ? '' : ` ${dtype}`}`;
}

function isGroup(value: unknown): value is ParameterGroup {
  return (
    value !== null && typeof value === 'object' && 'parameters' in value && Array.isArray(value.parameters)
  );
}

/** @throws TypeError, RangeError unless `parameters` is a list of live, distinct parameters of one runtime, one at least */
export function checkParameters(where: string, parameters: unknown): Parameter[] {
  if (!Array.isArray(parameters))
    throw new TypeError(`${where}: parameters is ${describe(parameters)}, expected an array of Parameters`);
  if (parameters.length === 0)
    throw new RangeError(`${where}: parameters is [], expected at least one trainable Parameter`);
  for (const [i, parameter] of (parameters as unknown[]).entries()) {
    if (!(parameter instanceof Parameter))
      throw new TypeError(`${where}: parameter ${i} is ${describe(parameter)}, expected a Parameter`);
    if (parameter.disposed)
      throw new Error(`${where}: ${nameOf(parameters as Parameter[], i)} was used after dispose()`);
    if (parameter.runtime !== (parameters[0] as Parameter).runtime) {
      throw new TypeError(
        `${where}: parameter ${i} belongs to another runtime than the first, expected one runtime`,
      );
    }
  }
  if (new Set(parameters).size !== parameters.length)
    throw new RangeError(`${where}: a parameter appears twice, expected each once`);
  return parameters as Parameter[];
}
