/**
 * A step of LoRA training as a user of the package writes it: forward, loss, gradients, clipping, AdamW, with adapters on all linear
 * layers; and what it costs. `training.ts` times it.
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
import { type CausalLM, causalLoss, type ModelConfig } from 'lora-wasm/models';
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

/** Flops of a token in a step. */
export interface StepFlops {
  /** The blocks' matrices: forward, and the gradient of their input where it is wanted. */
  readonly matrices: number;
  /** The head, the same. */
  readonly head: number;
  /** The factors of the adapters: forward, both gradients of the factors, and that of the input where it is wanted. */
  readonly adapters: number;
  /** Of the half that the mask leaves: two products forward, five back. */
  readonly attention: number;
}

/** Of T tokens in a row and adapters of rank r on all linear layers. SmolLM2, T = 256, r = 8: 424, 113, 15 and 31 million. */
export function stepFlops(config: ModelConfig, T: number, r: number): StepFlops {
  const { hiddenSize, intermediateSize, vocabSize, numHiddenLayers: layers } = config;
  const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = config;
  const [own, shared] = [heads * headDim, kvHeads * headDim];
  const reading = [own, shared, shared].map((N) => [N, hiddenSize] as const);
  const others = [
    [hiddenSize, own],
    [intermediateSize, hiddenSize],
    [intermediateSize, hiddenSize],
    [hiddenSize, intermediateSize],
  ] as const;
  const sum = (kinds: readonly (readonly [number, number])[], of: (N: number, K: number) => number): number =>
    kinds.reduce((total, [N, K]) => total + of(N, K), 0);
  const product = (N: number, K: number): number => 2 * N * K;
  const kinds = [...reading, ...others];
  return {
    // Nobody wants the gradient of what the embedding gives to the first block.
    matrices: 2 * layers * sum(kinds, product) - sum(reading, product),
    head: 2 * product(vocabSize, hiddenSize),
    adapters: layers * sum(kinds, (N, K) => 6 * r * (N + K)) - sum(reading, (_, K) => 2 * r * K),
    attention: 7 * layers * own * (T + 1),
  };
}

export function stepFlopsSum(config: ModelConfig, T: number): number {
  const { matrices, head, adapters, attention } = stepFlops(config, T, RANK);
  return matrices + head + adapters + attention;
}
