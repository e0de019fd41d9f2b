/**
 * What the calls are made on and with: runtimes, tensors, modules, adapted models, optimisers and files, each in the states
 * that a user can bring it to. A world anew after every call that succeeded; a call that failed must have changed nothing.
 */
import * as formats from '../../../src/formats/index.js';
import {
  Adam,
  AdamW,
  type AdapterFiles,
  Conv2d,
  createRuntime,
  Dropout,
  defineOperation,
  Embedding,
  Flatten,
  GELU,
  LayerNorm,
  Linear,
  LoraConv2d,
  LoraEmbedding,
  LoraLinear,
  LoraModel,
  MaxPool2d,
  mul,
  ReLU,
  RMSNorm,
  type Runtime,
  rotaryTable,
  Sequential,
  SGD,
  Sigmoid,
  scale,
  sum,
  Tanh,
  type Tensor,
} from '../../../src/index.js';
import { CausalLM, ChatTemplate, TextStream, TextTokenizer } from '../../../src/models/index.js';
import { configFromHf } from '../../../src/models/source/hf-config.js';
import { WeightMaker } from '../../../src/models/weights.js';
import { Trainer } from '../../../src/train/index.js';
import { smallJson } from '../small-tokenizer.js';
import { TINY_CONFIG } from '../tiny-model.js';

/** How each object is made, of others where it needs them. */
type Makers = Readonly<Record<string, (others: Readonly<Record<string, object>>) => object>>;

/** Objects by name, each made when it is asked for first: most calls need few. */
export class Objects {
  /** The same as properties. */
  readonly byName: Readonly<Record<string, object>>;

  constructor(makers: Makers) {
    const made = new Map<string, object>();
    const byName: Record<string, object> = {};
    for (const [name, make] of Object.entries(makers))
      Object.defineProperty(byName, name, {
        get: () => {
          if (!made.has(name)) made.set(name, make(byName));
          return made.get(name)!;
        },
        enumerable: true,
      });
    this.byName = byName;
  }

  get(name: string): object | undefined {
    return Object.hasOwn(this.byName, name) ? this.byName[name] : undefined;
  }
}

/** The objects of one round of calls. */
export interface World {
  readonly rt: Runtime;
  readonly objects: Objects;
}

/** An adapter's two files. */
export function files(world: World): AdapterFiles {
  return world.objects.byName.files as AdapterFiles;
}

/** Little, so that what asks for much is refused at once. */
const MEMORY = 64;

/** Worlds one after another over the same runtimes, as long as those last. */
export class Worlds {
  #rt: Runtime | null = null;
  #other: Runtime | null = null;
  #gone: Runtime | null = null;
  #lazy: object | null = null;
  #made = 0;

  async next(): Promise<World> {
    // Nothing is disposed of one by one: a runtime goes with all that is on it.
    if (
      this.#rt === null ||
      this.#rt.engine.disposed ||
      this.#other!.engine.disposed ||
      this.#made++ % 100 === 0
    ) {
      this.end();
      [this.#rt, this.#other, this.#gone] = [await runtime(), await runtime(), await runtime()];
      this.#gone.dispose();
    }
    const [rt, other, gone] = [this.#rt, this.#other!, this.#gone!];
    const makers = makersOf(rt, other, gone);
    this.#lazy ??= await lazyFile(new Objects(makers).byName.files as AdapterFiles);
    const lazy = this.#lazy;
    return { rt, objects: new Objects({ ...makers, lazy: () => lazy }) };
  }

  end(): void {
    this.#rt?.dispose();
    this.#other?.dispose();
  }
}

const lazyFile = (files: AdapterFiles): Promise<object> =>
  formats.openSafetensors(new Blob([files['adapter_model.safetensors']]));

const runtime = (): Promise<Runtime> => createRuntime({ kernels: 'simd', threads: 1, maxMemoryMB: MEMORY });

function makersOf(rt: Runtime, other: Runtime, gone: Runtime): Makers {
  return {
    ...{ rt: () => rt, other: () => other, gone: () => gone },
    ...models(rt),
    ...tensors(rt, other),
    ...layers(rt),
    ...speakers(rt),
    foreignLayer: () => new Linear(other, 4, 3),
    adamw: ({ lora }) => new AdamW((lora as LoraModel).parameterGroups({ lr: 0.1, loraPlusLrRatio: 4 })),
    adam: () => new Adam(new Linear(rt, 2, 2).parameters(), { lr: 0.1 }),
    sgd: () => new SGD(new Linear(rt, 2, 2).parameters(), { lr: 0.1, momentum: 0.9 }),
    spent: () => disposed(new SGD(new Linear(rt, 2, 2).parameters(), { lr: 0.1 })),
    trainer: ({ sequential }) => trainerOf(sequential as Sequential),
    ended: ({ sequential }) => disposed(trainerOf(sequential as Sequential)),
    square: () =>
      defineOperation({
        name: 'square',
        forward: ({ x }: { x: Tensor }) => ({ y: mul(x, x), keep: { x } }),
        backward: ({ dy, kept }) => ({ x: mul(dy, scale(kept.x, 2)) }),
      }),
    files: ({ lora }) => (lora as LoraModel).exportAdapter(),
    safetensors: ({ files }) =>
      formats.parseSafetensors((files as AdapterFiles)['adapter_model.safetensors']),
  };
}

/** A trainer of a net from four numbers to three. */
function trainerOf(model: Sequential) {
  const loss = (): Tensor => sum(model.forward(model.parameters()[0]!.runtime.full([2, 4], 1)));
  return new Trainer(model, [1, 2], { loss });
}

function disposed<T extends { dispose(): void }>(made: T): T {
  made.dispose();
  return made;
}

/** Models with adapters in each of their states. */
function models(rt: Runtime): Makers {
  const attach = (): LoraModel =>
    LoraModel.attach(new Sequential(new Linear(rt, 4, 3), new Linear(rt, 3, 2)), {
      ...{ r: 2, targetModules: 'all-linear' },
    });
  const changed = (change: (model: LoraModel) => unknown) => (): LoraModel => {
    const model = attach();
    change(model);
    return model;
  };
  return {
    lora: changed((model) => model.addAdapter('second', { r: 2, targetModules: ['0'] })),
    merged: changed((model) => {
      for (const [, parameter] of model.namedParameters()) parameter.requiresGrad = false;
      model.merge();
    }),
    unloaded: changed((model) => model.unload()),
    deleted: changed((model) => model.deleteAdapter('default')),
    evaluated: changed((model) => model.eval()),
  };
}

/** A language model of zeros, and what goes with it. */
function speakers(rt: Runtime): Makers {
  const config = configFromHf('config.json', JSON.stringify({ ...TINY_CONFIG, vocab_size: 700 }));
  const make = (): CausalLM => new CausalLM(new WeightMaker(rt, () => 'f32'), config, 16);
  const cut = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  return {
    speaker: make,
    silent: () => disposed(make()),
    cache: ({ speaker }) => (speaker as CausalLM).cache(6),
    lost: ({ speaker }) => disposed((speaker as CausalLM).cache(6)),
    prompt: () => rt.tensor(Int32Array.of(3, 1, 4), [1, 3]),
    words: () => TextTokenizer.fromJson(smallJson(cut)),
    textStream: ({ words }) => new TextStream(words as TextTokenizer),
    chat: () => new ChatTemplate('{% for m in messages %}{{ m.content }}{% endfor %}'),
  };
}

function tensors(rt: Runtime, other: Runtime): Makers {
  const squares = (x: object | undefined): Tensor => mul(x as Tensor, x as Tensor);
  return {
    trained: () => Object.assign(rt.full([2, 3], 0.5), { requiresGrad: true }),
    disposed: () => disposed(rt.zeros([2, 3])),
    matrix: () => rt.full([2, 3], 0.5),
    rows: () => rt.full([5, 4], 0.25),
    row: () => rt.full([3], 2),
    scalar: () => rt.full([], 1),
    nothing: () => rt.zeros([0]),
    noRows: () => rt.zeros([0, 4]),
    images: () => rt.full([2, 4, 5, 5], 0.1),
    states: () => rt.full([2, 2, 8], 0.5),
    ids: () => rt.tensor(Int32Array.of(0, 1)),
    far: () => rt.tensor(Int32Array.of(0, 1000, -1)),
    foreign: () => other.full([2, 3], 1),
    loss: ({ trained }) => sum(squares(trained)),
    computed: ({ trained }) => squares(trained),
  };
}

function layers(rt: Runtime): Makers {
  return {
    empty: () => disposed(new Linear(rt, 4, 3)),
    linear: () => new Linear(rt, 4, 3),
    turned: () => new Linear(rt, 3, 3, { bias: false, fanInFanOut: true }),
    conv: () => new Conv2d(rt, 4, 2, 3),
    embedding: () => new Embedding(rt, 7, 4),
    norm: () => new LayerNorm(rt, 3),
    rms: () => new RMSNorm(rt, 3),
    table: () => rotaryTable(rt, { headDim: 4, length: 6, theta: 100 }),
    dropout: () => new Dropout(rt, 0.5),
    flatten: () => new Flatten(),
    gelu: () => new GELU(),
    relu: () => new ReLU(),
    tanh: () => new Tanh(),
    sigmoid: () => new Sigmoid(),
    pool: () => new MaxPool2d(2),
    sequential: () => new Sequential(new Linear(rt, 4, 3), new ReLU()),
    loraLinear: () => LoraLinear.from(new Linear(rt, 4, 3), { r: 2 }),
    loraConv: () => LoraConv2d.from(new Conv2d(rt, 4, 2, 3), { r: 2 }),
    loraEmbedding: () => LoraEmbedding.from(new Embedding(rt, 7, 4), { r: 2 }),
  };
}
