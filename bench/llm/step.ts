/**
 * A step of LoRA training as a user of the package writes it: forward, loss, gradients, clipping, AdamW, with adapters on all linear
 * layers. `training.ts` times it.
 */
import {
  AdamW,
  type AdapterFiles,
  clipGradNorm,
  type LoraModel,
  type Parameter,
  type Runtime,
  scale,
} from 'lora-wasm';
import { type CausalLM, causalLoss } from 'lora-wasm/models';
import { randomArray } from '../../reference/random.js';

export const RANK = 8;
/** What AdamW and clipping are told. */
export const SETTINGS = { lr: 2e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, clipNorm: 1 } as const;
/** Largest element of the factors: B is not zero, so that every gradient is one. */
const BOUND = 0.02;

export interface Batch {
  readonly ids: Int32Array<ArrayBuffer>;
  readonly labels: Int32Array<ArrayBuffer>;
  readonly shape: readonly [rows: number, length: number];
}

export interface Stepped {
  readonly loss: number;
  /** Of the gradients, before clipping. */
  readonly norm: number;
}

/** PyTorch with PEFT in a process of its own, which trains the same adapter over the same file. */
export interface Native {
  readonly version: string;
  readonly threads: number;
  /** Milliseconds by its own clock. */
  step(): Promise<Stepped & { readonly ms: number }>;
  /** Most bytes that lay in its memory; null where the system does not tell. */
  resident(): Promise<number | null>;
  close(): void;
}

/** From the adapter of these files on, over one row of tokens. */
export type StartNative = (threads: number, files: AdapterFiles, ids: Int32Array) => Promise<Native>;

/** A model with an adapter that trains; the model stays when it is disposed. */
export type Learner = ReturnType<typeof learnerOf>;

/** Of rank 8 on all linear layers, with the same numbers every time. */
export function freshLearner(rt: Runtime, lora: LoraModel<CausalLM>): Learner {
  lora.addAdapter('fresh', { r: RANK, loraAlpha: 2 * RANK, targetModules: 'all-linear' });
  const learner = learnerOf(rt, lora, 'fresh');
  for (const [i, parameter] of lora.trainableParameters().entries())
    parameter.set(randomArray(parameter.size, i + 1, BOUND));
  return learner;
}

/** From an adapter's files on. */
export async function learnerFrom(
  rt: Runtime,
  lora: LoraModel<CausalLM>,
  files: AdapterFiles,
): Promise<Learner> {
  await lora.loadAdapter('loaded', files, { trainable: true });
  return learnerOf(rt, lora, 'loaded');
}

function learnerOf(rt: Runtime, lora: LoraModel<CausalLM>, name: string) {
  lora.setAdapter(name);
  const parameters = lora.trainableParameters();
  const { clipNorm, betas, ...rest } = SETTINGS;
  const optimizer = new AdamW(parameters, { ...rest, betas: [...betas] });
  return {
    step: ({ ids, labels, shape }: Batch): Stepped =>
      rt.scope(() => {
        optimizer.zeroGrad();
        const { sum, count } = causalLoss(lora.model, rt.tensor(ids, shape), labels);
        const loss = scale(sum, 1 / count);
        loss.backward();
        const norm = clipGradNorm(parameters, clipNorm);
        optimizer.step();
        return { loss: loss.item(), norm };
      }),
    /** The gradients of the last step, one behind the other. */
    gradients: () => joined(parameters.map(({ grad }) => grad!)),
    /** What is trained, one behind the other. */
    values: () => joined(parameters),
    files: () => lora.exportAdapter(name, { taskType: 'CAUSAL_LM' }),
    dispose: () => {
      optimizer.dispose();
      lora.deleteAdapter(name);
    },
  };
}

function joined(tensors: readonly Pick<Parameter, 'size' | 'copyTo'>[]): Float32Array {
  const all = new Float32Array(tensors.reduce((sum, { size }) => sum + size, 0));
  let at = 0;
  for (const tensor of tensors) {
    tensor.copyTo(all.subarray(at, at + tensor.size));
    at += tensor.size;
  }
  return all;
}
