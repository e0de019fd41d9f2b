/**
 * What the calls are made on and with: runtimes, tensors, modules, adapted models, optimisers and files, each in the states
 * that a user can bring it to. Made anew after every call that succeeded; a call that failed must have changed nothing.
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

/** The objects of one round of calls, by name. */
export interface World {
  readonly rt: Runtime;
  readonly objects: ReadonlyMap<string, object>;
}

/** An adapter's two files. */
export function files(world: World): AdapterFiles {
  return world.objects.get('files') as AdapterFiles;
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
      this.#made++ % 50 === 0
    ) {
      this.end();
      [this.#rt, this.#other, this.#gone] = [await runtime(), await runtime(), await runtime()];
      this.#gone.dispose();
    }
    const world = makeWorld(this.#rt, this.#other!, this.#gone!);
    this.#lazy ??= await formats.openSafetensors(new Blob([files(world)['adapter_model.safetensors']]));
    return { ...world, objects: new Map([...world.objects, ['lazy', this.#lazy]]) };
  }

  end(): void {
    this.#rt?.dispose();
    this.#other?.dispose();
  }
}

const runtime = (): Promise<Runtime> => createRuntime({ kernels: 'simd', threads: 1, maxMemoryMB: MEMORY });

function makeWorld(rt: Runtime, other: Runtime, gone: Runtime): World {
  const attach = (): LoraModel =>
    LoraModel.attach(new Sequential(new Linear(rt, 4, 3), new Linear(rt, 3, 2)), {
      ...{ r: 2, targetModules: 'all-linear' },
    });
  const lora = attach();
  lora.addAdapter('second', { r: 2, targetModules: ['0'] });
  const merged = attach();
  for (const [, parameter] of merged.namedParameters()) parameter.requiresGrad = false;
  merged.merge();
  const unloaded = attach();
  unloaded.unload();
  const deleted = attach();
  deleted.deleteAdapter('default');
  const spent = new SGD(new Linear(rt, 2, 2).parameters(), { lr: 0.1 });
  spent.dispose();
  const disposed = rt.zeros([2, 3]);
  disposed.dispose();
  const empty = new Linear(rt, 4, 3);
  empty.dispose();
  const trained = rt.full([2, 3], 0.5);
  trained.requiresGrad = true;
  const files = lora.exportAdapter();
  const objects: Record<string, object> = {
    ...{ rt, other, gone, lora, merged, unloaded, deleted, spent, disposed, empty, trained },
    ...tensors(rt, other, trained),
    ...layers(rt),
    foreignLayer: new Linear(other, 4, 3),
    evaluated: attach().eval(),
    adamw: new AdamW(lora.parameterGroups({ lr: 0.1, loraPlusLrRatio: 4 })),
    adam: new Adam(new Linear(rt, 2, 2).parameters(), { lr: 0.1 }),
    sgd: new SGD(new Linear(rt, 2, 2).parameters(), { lr: 0.1, momentum: 0.9 }),
    square: defineOperation({
      name: 'square',
      forward: ({ x }: { x: Tensor }) => ({ y: mul(x, x), keep: { x } }),
      backward: ({ dy, kept }) => ({ x: mul(dy, scale(kept.x, 2)) }),
    }),
    safetensors: formats.parseSafetensors(files['adapter_model.safetensors']),
    files,
  };
  return { rt, objects: new Map(Object.entries(objects)) };
}

function tensors(rt: Runtime, other: Runtime, trained: Tensor): Record<string, Tensor> {
  return {
    matrix: rt.full([2, 3], 0.5),
    rows: rt.full([5, 4], 0.25),
    row: rt.full([3], 2),
    scalar: rt.full([], 1),
    nothing: rt.zeros([0]),
    noRows: rt.zeros([0, 4]),
    images: rt.full([2, 4, 5, 5], 0.1),
    states: rt.full([2, 2, 8], 0.5),
    ids: rt.tensor(Int32Array.of(0, 1)),
    far: rt.tensor(Int32Array.of(0, 1000, -1)),
    foreign: other.full([2, 3], 1),
    loss: sum(mul(trained, trained)),
    computed: mul(trained, trained),
  };
}

function layers(rt: Runtime): Record<string, object> {
  return {
    linear: new Linear(rt, 4, 3),
    turned: new Linear(rt, 3, 3, { bias: false, fanInFanOut: true }),
    conv: new Conv2d(rt, 4, 2, 3),
    embedding: new Embedding(rt, 7, 4),
    norm: new LayerNorm(rt, 3),
    rms: new RMSNorm(rt, 3),
    table: rotaryTable(rt, { headDim: 4, length: 6, theta: 100 }),
    dropout: new Dropout(rt, 0.5),
    flatten: new Flatten(),
    gelu: new GELU(),
    relu: new ReLU(),
    tanh: new Tanh(),
    sigmoid: new Sigmoid(),
    pool: new MaxPool2d(2),
    sequential: new Sequential(new Linear(rt, 4, 3), new ReLU()),
    loraLinear: LoraLinear.from(new Linear(rt, 4, 3), { r: 2 }),
    loraConv: LoraConv2d.from(new Conv2d(rt, 4, 2, 3), { r: 2 }),
    loraEmbedding: LoraEmbedding.from(new Embedding(rt, 7, 4), { r: 2 }),
  };
}
