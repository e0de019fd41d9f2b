/** The adapter of `lora-wasm train` and what moves it, by the command's options. `command.ts` calls it. */
import { AdapterError } from '../../lora/errors.js';
import { LoraModel } from '../../lora/lora-model.js';
import type { CausalLM } from '../../models/causal-lm.js';
import { Linear } from '../../nn/linear.js';
import { AdamW } from '../../optim/optimizer.js';
import { UserError } from '../name-errors.js';
import type { LayersFlag, TrainFlags } from './options.js';
import { inCommand } from './run-error.js';

/** @throws UserError; errors of the adapter's options */
export function attachAdapter(model: CausalLM, flags: TrainFlags): LoraModel<CausalLM> {
  const { r, loraAlpha, loraDropout, useDora = false, useRslora = false, targetModules, layers } = flags;
  const blocks = layers === undefined ? null : blocksOf(layers, model.config.numHiddenLayers);
  try {
    return LoraModel.attach(model, {
      ...{ r, loraAlpha, loraDropout, useDora, useRslora },
      // PEFT takes numbers of layers beside a list of names only.
      targetModules: blocks !== null && targetModules === 'all-linear' ? linearNames(model) : targetModules,
      ...(blocks === null ? {} : { layersToTransform: blocks }),
    });
  } catch (error) {
    if (!(error instanceof AdapterError)) throw error;
    throw new UserError(inCommand(error.message).replace(/^target /, '--target-modules: '));
  }
}

/** @throws UserError */
function blocksOf(layers: LayersFlag, count: number): number[] {
  if ('last' in layers) {
    if (layers.last > count)
      throw new UserError(
        `--layers ${layers.last}: the model has ${count} blocks, expected ${count} at most`,
      );
    return Array.from({ length: layers.last }, (_, i) => count - layers.last + i);
  }
  const outside = layers.these.find((layer) => layer >= count);
  if (outside !== undefined)
    throw new UserError(`--layers has ${outside}, expected 0 to ${count - 1} of the model's ${count} blocks`);
  return [...new Set(layers.these)].sort((a, b) => a - b);
}

/** Last parts of the names of all linear layers but the head. */
function linearNames(model: CausalLM): string[] {
  const found = model
    .namedModules()
    .filter(([, module]) => module instanceof Linear && module !== model.outputEmbeddings);
  return [...new Set(found.map(([name]) => name.slice(name.lastIndexOf('.') + 1)))];
}

/** AdamW; by LoRA+ B and vectors have a rate of their own, an embedding's factors that of A. Vectors do not decay. */
export function optimizerOf(
  lora: LoraModel<CausalLM>,
  { lr, weightDecay, loraPlusRatio }: TrainFlags,
): AdamW {
  const rates = { lr, loraPlusLrRatio: loraPlusRatio, loraPlusLrEmbedding: lr };
  return new AdamW(lora.parameterGroups({ ...rates, weightDecay }));
}
