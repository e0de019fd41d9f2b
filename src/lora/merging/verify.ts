/** How much merging changes a model's output: what `verifyMerge` gives. */
import type { Module } from '../../nn/module.js';
import { collect } from '../../tensor/scope.js';
import { Tensor } from '../../tensor/tensor.js';
import { describe } from '../../values/checks.js';
import type { Attachment } from '../attached/attachment.js';
import { AdapterError } from '../errors.js';
import { mergeInTurn } from './merge-model.js';

/** @param lora - the LoraModel itself @returns max |merged - unmerged| over the output's elements @throws AdapterError, OutOfMemoryError */
export function mergeDifference(attachment: Attachment, lora: Module, inputs: readonly unknown[]): number {
  const where = 'LoraModel.verifyMerge';
  attachment.guard.checkFree(where);
  const { adapters, model, runtime } = attachment;
  if (adapters.active.length === 0)
    throw new AdapterError(`${where}: no adapter is active, expected at least one`);
  const modes = [model, ...lora.namedModules().map(([, module]) => module)].map((module) => ({
    ...{ module, training: module.training },
  }));
  const output = (): number[] =>
    runtime.scope(() => runtime.noGrad(() => valuesIn(where, model.forward(...inputs))));
  lora.eval();
  try {
    return attachment.withoutMerged(() => {
      const apart = output();
      // A trial: quantised weights stay as they are beside it.
      const step = mergeInTurn(attachment, where, adapters.active, { quantised: 'dequantise' });
      try {
        const together = output();
        return apart.reduce((most, value, i) => Math.max(most, Math.abs(value - together[i]!)), 0);
      } finally {
        step.undo();
      }
    });
  } finally {
    for (const { module, training } of modes) module.setMode(training);
  }
}

/** The elements of every tensor in a model's output. @throws TypeError where there is none */
function valuesIn(where: string, output: unknown): number[] {
  const tensors: Tensor[] = [];
  collect(output, (value) => (value instanceof Tensor && tensors.push(value) > 0 ? value : null), []);
  if (tensors.length === 0)
    throw new TypeError(
      `${where}: the model's output is ${describe(output)}, expected a tensor or an object that holds some`,
    );
  return tensors.flatMap((tensor) => [...tensor.toArray()]);
}
