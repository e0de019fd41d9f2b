/**
 * Configurations of adapters with all of PEFT's options combined at random, in PEFT's own fields, and a small model with every
 * kind of layer for them. The property test of exports draws from here, and so does the round trip through real PEFT, whose
 * `peft_side.py` has the same model.
 */
import fc from 'fast-check';
import {
  add,
  Conv2d,
  Embedding,
  LayerNorm,
  Linear,
  type LoraConfig,
  Module,
  mean,
  type Runtime,
  type Tensor,
  tanh,
} from '../../src/index.js';

/** Fields of PEFT's LoraConfig. */
export type PeftFields = Readonly<Record<string, unknown>>;

class Block extends Module {
  readonly proj: Linear;
  readonly gate: Linear;

  constructor(rt: Runtime) {
    super();
    this.proj = new Linear(rt, 5, 5);
    this.gate = new Linear(rt, 5, 5, { bias: false });
  }

  override forward(x: Tensor): Tensor {
    return add(x, this.gate.forward(tanh(this.proj.forward(x))));
  }
}

class Body extends Module {
  readonly h: Block[];

  constructor(rt: Runtime) {
    super();
    this.h = [new Block(rt), new Block(rt)];
  }

  override forward(x: Tensor): Tensor {
    return this.h.reduce((y, block) => block.forward(y), x);
  }
}

/** Embedding, convolutions with and without groups, weights stored [in, out], lists of layers at the root and within. */
export class Net extends Module {
  readonly wte: Embedding;
  readonly norm: LayerNorm;
  readonly conv: Conv2d;
  readonly plain: Conv2d;
  readonly fc: Linear;
  readonly square: Linear;
  readonly layers: Block[];
  readonly body: Body;
  readonly prehead: Linear;
  readonly head: Linear;

  /** Every parameter, norms and biases too, is drawn. */
  constructor(rt: Runtime) {
    super();
    this.wte = new Embedding(rt, 9, 6);
    this.norm = new LayerNorm(rt, 6);
    this.conv = new Conv2d(rt, 2, 4, 3, { padding: 1, groups: 2 });
    this.plain = new Conv2d(rt, 4, 4, [3, 2], { stride: [2, 1] });
    this.fc = new Linear(rt, 4, 5, { fanInFanOut: true });
    this.square = new Linear(rt, 5, 5, { fanInFanOut: true });
    this.layers = [new Block(rt), new Block(rt)];
    this.body = new Body(rt);
    this.prehead = new Linear(rt, 5, 5);
    this.head = new Linear(rt, 5, 3);
    rt.noGrad(() => {
      for (const parameter of this.parameters()) parameter.set(rt.normal(parameter.shape, 0.5).toArray());
    });
  }

  /** @param ids - [batch, 2, 5], 0 to 8 @returns [batch, 3] */
  override forward(ids: Tensor): Tensor {
    const images = tanh(this.conv.forward(this.norm.forward(this.wte.forward(ids))));
    const rows = mean(tanh(this.plain.forward(images)), [2, 3]);
    const wide = tanh(this.square.forward(tanh(this.fc.forward(rows))));
    const deep = this.body.forward(this.layers.reduce((x, block) => block.forward(x), wide));
    return this.head.forward(tanh(this.prehead.forward(deep)));
  }
}

/** Ids for `Net`, others for each `index`. */
export function idsFor(rt: Runtime, index: number): Tensor {
  return rt.tensor(
    Int32Array.from({ length: 30 }, (_, i) => (i * 7 + index + Math.floor(i / 9)) % 9),
    [3, 2, 5],
  );
}

const LISTED = ['wte', 'conv', 'plain', 'fc', 'square', 'proj', 'gate', 'prehead', 'head'];
const NUMBERED = ['layers.0.proj', 'layers.1.gate', 'h.1.proj', 'body.h.0.gate', '0.proj', '1.gate'];
const PATTERNS = [
  '.*proj',
  '(?i)HEAD|f(?P<name>c)',
  'layers\\.\\d\\.(proj|gate)',
  '.*h\\.[01]\\.gate|wte',
  '.*(conv|plain|square)',
  'layers.*',
  '.*',
];
const KEYS = [
  'proj',
  'head',
  '^head',
  'layers.0.proj',
  'layers\\.1\\.gate',
  '.*gate',
  'co.v',
  'w|wte',
  'h.1.proj',
];
const WORDS = ['gaussian', 'Gaussian', 'olora', 'OLoRA', 'pissa', 'pissa_niter_4', 'orthogonal'];

const rank = fc.oneof(
  { arbitrary: fc.constantFrom(2, 4), weight: 4 },
  { arbitrary: fc.integer({ min: 1, max: 6 }), weight: 1 },
);
const alpha = fc.oneof(
  { arbitrary: fc.constantFrom(1, 3, 6, 8, 0.5), weight: 9 },
  { arbitrary: fc.constant(0), weight: 1 },
);

/** Mostly `usual`, else one of `others`. */
function seldom<T, U>(usual: T, others: fc.Arbitrary<U>, weight = 2): fc.Arbitrary<T | U> {
  return fc.oneof({ arbitrary: fc.constant(usual), weight: 4 }, { arbitrary: others, weight });
}

function some(...names: string[]): fc.Arbitrary<string[]> {
  return fc.subarray(names, { minLength: 1, maxLength: 3 });
}

const keyed = (value: fc.Arbitrary<number>): fc.Arbitrary<Record<string, number>> =>
  fc
    .uniqueArray(fc.tuple(fc.constantFrom(...KEYS), value), { maxLength: 3, selector: ([key]) => key })
    .map((entries) => Object.fromEntries(entries));

/** One configuration; some of them contradict themselves, and are to be refused on both sides. */
export const peftFields: fc.Arbitrary<PeftFields> = fc
  .record({
    sound: seldom(true, fc.constant(false), 1),
    r: rank,
    lora_alpha: alpha,
    use_rslora: fc.boolean(),
    use_dora: seldom(false, fc.constant(true)),
    lora_bias: seldom(false, fc.constant(true), 1),
    lora_dropout: seldom(0, fc.constantFrom(0.3, 0.5)),
    bias: seldom('none', fc.constantFrom('all', 'lora_only')),
    fan_in_fan_out: fc.boolean(),
    target_modules: fc.oneof(
      { arbitrary: some(...LISTED), weight: 5 },
      { arbitrary: some(...LISTED, ...NUMBERED), weight: 4 },
      { arbitrary: fc.constantFrom(...PATTERNS), weight: 3 },
      { arbitrary: fc.constantFrom('all-linear', 'ALL-Linear'), weight: 1 },
    ),
    exclude_modules: seldom(
      null,
      fc.oneof(
        some('fc', 'gate', 'layers.0.proj', 'wte'),
        fc.constantFrom('', '.*1\\.proj', 'head|conv'),
        fc.constant([]),
      ),
    ),
    modules_to_save: seldom(
      null,
      fc.oneof(
        some('head', 'norm', 'ead', 'prehead', 'layers.1', 'h.0', 'gate', 'score', 'lain', '1'),
        fc.constant([]),
      ),
    ),
    layers: seldom<PeftFields, PeftFields>(
      {},
      fc.record({
        layers_to_transform: fc.constantFrom<unknown>(0, 1, [0], [1], [0, 1], [], [7], null),
        layers_pattern: fc.constantFrom<unknown>(
          null,
          '',
          [],
          'layers',
          'h',
          ['layers'],
          ['h', 'layers'],
          'h|layers',
        ),
      }),
      1,
    ),
    rank_pattern: seldom({}, keyed(rank)),
    alpha_pattern: seldom({}, keyed(alpha)),
    init_lora_weights: fc.oneof(
      { arbitrary: fc.constant(true), weight: 3 },
      { arbitrary: fc.constant(false), weight: 1 },
      { arbitrary: fc.constantFrom(...WORDS), weight: 4 },
      { arbitrary: fc.constantFrom('PiSSA', 'Orthogonal', 'pissa_niter_', 'kaiming'), weight: 1 },
    ),
  })
  .map(({ sound, layers, ...fields }) => {
    const drawn: PeftFields = {
      ...fields,
      ...(typeof fields.target_modules === 'string' && sound ? {} : layers),
    };
    return sound ? withoutContradictions(drawn) : drawn;
  });

/** The commonest contradictions resolved, so that most configurations are made on both sides. */
function withoutContradictions(fields: PeftFields): PeftFields {
  const { init_lora_weights: drawn, target_modules: targets, layers_pattern: pattern = null } = fields;
  const convolves = /conv|plain/.test(JSON.stringify(targets));
  const init = convolves && typeof drawn === 'string' && !/^gaussian$/i.test(drawn) ? true : drawn;
  const biased = fields.lora_bias === true && fields.use_dora === false && typeof init === 'boolean';
  const layers = fields.layers_to_transform ?? (pattern === null ? null : 0);
  return {
    ...fields,
    ...{ init_lora_weights: init, lora_bias: biased && !JSON.stringify(targets).includes('wte') },
    ...('layers_to_transform' in fields ? { layers_to_transform: layers } : {}),
  };
}

/** PEFT's fields as options. */
export function optionsOf(fields: PeftFields): LoraConfig {
  const entries = Object.entries(fields).map(([key, value]) => [
    key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(entries) as LoraConfig;
}
