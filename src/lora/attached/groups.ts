/** Parameter groups for an optimiser: LoRA+'s learning rate for B, and what weight decay leaves out. */

import { partOfKey } from '../../formats/peft-keys.js';
import type { Parameter, ParameterGroup } from '../../tensor/parameter.js';
import { checkBoolean, checkNumber, checkOptions } from '../../values/checks.js';

/** What a parameter's name says that it is, where it is an adapter's. */
type NamedPart = ReturnType<typeof partOfKey>;

/** What `LoraModel.parameterGroups` takes: rates and decay for an optimiser's groups. */
export interface GroupOptions {
  /** Learning rate of A and of everything without one of its own. */
  readonly lr: number;
  /** Learning rate of B over that of A (LoRA+). Default 1. */
  readonly loraPlusLrRatio?: number;
  /** Learning rate of an embedding's factors. Default: `lr`, or 1e-6 where loraPlusLrRatio is given, as in PEFT. */
  readonly loraPlusLrEmbedding?: number;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Whether biases, DoRA's magnitudes and other one-dimensional parameters (norms) decay too. Default false. */
  readonly decayVectors?: boolean;
}

/** @param named - parameters by their dotted names; those that are trained count @throws TypeError, RangeError */
export function parameterGroups(
  where: string,
  named: readonly (readonly [string, Parameter])[],
  options: GroupOptions,
): ParameterGroup[] {
  checkOptions(where, options, [
    'lr',
    'loraPlusLrRatio',
    'loraPlusLrEmbedding',
    'weightDecay',
    'decayVectors',
  ]);
  const { lr, loraPlusLrRatio = 1, weightDecay = 0, decayVectors = false } = options;
  checkNumber(`${where}: lr`, lr, 0, Number.MAX_VALUE);
  checkNumber(`${where}: loraPlusLrRatio`, loraPlusLrRatio, 0, Number.MAX_VALUE);
  const embedding = options.loraPlusLrEmbedding ?? (options.loraPlusLrRatio === undefined ? lr : 1e-6);
  checkNumber(`${where}: loraPlusLrEmbedding`, embedding, 0, Number.MAX_VALUE);
  checkNumber(`${where}: weightDecay`, weightDecay, 0, Number.MAX_VALUE);
  checkBoolean(`${where}: decayVectors`, decayVectors);
  const groups = new Map<string, { lr: number; weightDecay: number; parameters: Parameter[] }>();
  for (const [name, parameter] of named) {
    if (!parameter.requiresGrad) continue;
    const found = partOfKey(name);
    const rate = found?.embedding ? embedding : isFast(found, parameter) ? lr * loraPlusLrRatio : lr;
    const decay = isVector(found, parameter) && !decayVectors ? 0 : weightDecay;
    const key = `${rate} ${decay}`;
    const group = groups.get(key) ?? { lr: rate, weightDecay: decay, parameters: [] };
    group.parameters.push(parameter);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** LoRA+ gives B, and every vector, the larger rate; embeddings have one of their own. */
function isFast(found: NamedPart, { shape }: Parameter): boolean {
  return found?.part === 'B' || shape.length === 1;
}

function isVector(found: NamedPart, { shape }: Parameter): boolean {
  return shape.length === 1 || found?.part === 'magnitude';
}
