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

/** A model with an adapter that trains. */
export class Learner {
  readonly #rt: Runtime;
  readonly #lora: LoraModel<CausalLM>;
  readonly #name: string;
  readonly #parameters: readonly Parameter[];
  readonly #optimizer: AdamW;

  private constructor(rt: Runtime, lora: LoraModel<CausalLM>, name: string) {
    this.#rt = rt;
    this.#lora = lora;
    this.#name = name;
    lora.setAdapter(name);
    this.#parameters = lora.trainableParameters();
    const { clipNorm: _, betas, ...rest } = SETTINGS;
    this.#optimizer = new AdamW(this.#parameters, { ...rest, betas: [...betas] });
  }

  /** Of rank 8 on all linear layers, with the same numbers every time. */
  static fresh(rt: Runtime, lora: LoraModel<CausalLM>): Learner {
    lora.addAdapter('fresh', { r: RANK, loraAlpha: 2 * RANK, targetModules: 'all-linear' });
    const learner = new Learner(rt, lora, 'fresh');
    for (const [i, parameter] of learner.#parameters.entries())
      parameter.set(randomArray(parameter.size, i + 1, BOUND));
    return learner;
  }

  /** From an adapter's files on. */
  static async from(rt: Runtime, lora: LoraModel<CausalLM>, files: AdapterFiles): Promise<Learner> {
    await lora.loadAdapter('loaded', files, { trainable: true });
    return new Learner(rt, lora, 'loaded');
  }

  step({ ids, labels, shape }: Batch): Stepped {
    return this.#rt.scope(() => {
      this.#optimizer.zeroGrad();
      const { sum, count } = causalLoss(this.#lora.model, this.#rt.tensor(ids, shape), labels);
      const loss = scale(sum, 1 / count);
      loss.backward();
      const norm = clipGradNorm(this.#parameters, SETTINGS.clipNorm);
      this.#optimizer.step();
      return { loss: loss.item(), norm };
    });
  }

  /** The gradients of the last step, one behind the other. */
  gradients(): Float32Array {
    return joined(this.#parameters.map(({ grad }) => grad!));
  }

  /** What is trained, one behind the other. */
  values(): Float32Array {
    return joined(this.#parameters);
  }

  files(): AdapterFiles {
    return this.#lora.exportAdapter(this.#name, { taskType: 'CAUSAL_LM' });
  }

  /** The model stays. */
  dispose(): void {
    this.#optimizer.dispose();
    this.#lora.deleteAdapter(this.#name);
  }
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
