/** Injection scenarios of layers without adapters: constructors, forwards, and what a Module does with its parameters. */
import {
  Conv2d,
  Dropout,
  Embedding,
  Flatten,
  GELU,
  type Layer,
  LayerNorm,
  Linear,
  MaxPool2d,
  mseLoss,
  ReLU,
  RMSNorm,
  type Runtime,
  Sequential,
  Sigmoid,
  Tanh,
  type Tensor,
} from '../../../src/index.js';
import { LoraLayer } from '../../../src/lora/layer/lora-layer.js';
import { leaf } from '../tensors.js';
import { indices } from './operations.js';
import { type Draw, repeated, type Scenario } from './scenario.js';

interface LayerCase {
  readonly name: string;
  readonly make: (rt: Runtime, draw: Draw) => Layer;
  readonly input: (rt: Runtime, draw: Draw) => Tensor;
}

const rows = (rt: Runtime): Tensor => leaf(rt, [3, 6]);
const images = (rt: Runtime): Tensor => leaf(rt, [2, 4, 6, 5]);

const CASES: readonly LayerCase[] = [
  { name: 'Linear', make: (rt, draw) => new Linear(rt, 6, draw.size(5)), input: rows },
  { name: 'Linear', make: (rt, draw) => new Linear(rt, 6, draw.size(5), { fanInFanOut: true }), input: rows },
  { name: 'Conv2d', make: (rt, draw) => new Conv2d(rt, 4, draw.size(6), 3), input: images },
  { name: 'Conv2d', make: (rt) => new Conv2d(rt, 4, 6, [3, 2], { groups: 2, bias: false }), input: images },
  {
    name: 'Embedding',
    make: (rt, draw) => new Embedding(rt, 7, draw.size(4), { paddingIdx: 2 }),
    input: (rt) => indices(rt, [2, 3], 7),
  },
  ...(['f16', 'bf16'] as const).flatMap((dtype): LayerCase[] => [
    { name: 'Linear', make: (rt, draw) => new Linear(rt, 6, draw.size(5), { dtype }), input: rows },
    { name: 'Conv2d', make: (rt, draw) => new Conv2d(rt, 4, draw.size(6), 3, { dtype }), input: images },
    {
      name: 'Sequential',
      make: (rt, draw) => {
        const width = draw.size(4);
        return new Sequential(
          new Embedding(rt, 7, width, { dtype, paddingIdx: 2 }),
          new Linear(rt, width, 2, { dtype }),
        );
      },
      input: (rt) => indices(rt, [2, 3], 7),
    },
  ]),
  { name: 'LayerNorm', make: (rt) => new LayerNorm(rt, 6), input: rows },
  { name: 'RMSNorm', make: (rt) => new RMSNorm(rt, 6), input: rows },
  { name: 'Dropout', make: (rt) => new Dropout(rt, 0.3), input: rows },
  { name: 'Flatten', make: () => new Flatten(), input: images },
  { name: 'GELU', make: () => new GELU(), input: rows },
  { name: 'MaxPool2d', make: () => new MaxPool2d(2), input: images },
  { name: 'ReLU', make: () => new ReLU(), input: rows },
  { name: 'Sigmoid', make: () => new Sigmoid(), input: rows },
  { name: 'Tanh', make: () => new Tanh(), input: rows },
  {
    name: 'Sequential',
    make: (rt, draw) => {
      const width = draw.size(5);
      return new Sequential(
        new Linear(rt, 6, width),
        new Dropout(rt, 0.4),
        new Tanh(),
        new Linear(rt, width, 2),
      );
    },
    input: rows,
  },
];

/**
 * Forward and backward of a module in one scope: the loss, with gradients left behind. Masks of dropout begin anew, as a
 * forward that went well before its backward failed has had them.
 */
export function trainStep(rt: Runtime, module: Layer, inputs: readonly Tensor[], target: Tensor): unknown {
  for (const [, part] of module.namedModules())
    if (part instanceof Dropout) part.masks.step = 0;
    else if (part instanceof LoraLayer) part.masks.step = 0;
  return rt.scope(() => {
    const loss = mseLoss(module.forward(...inputs), target);
    loss.backward();
    return loss.item();
  });
}

/** A target for `trainStep`, of the output's shape, without disturbing the masks of dropout. */
export function targetFor(rt: Runtime, module: Layer, x: Tensor): Tensor {
  const { training } = module;
  module.eval();
  const { shape } = rt.scope(() => rt.noGrad(() => module.forward(x)));
  module.train(training);
  return rt.normal(shape).keep();
}

function trained({ name, make, input }: LayerCase, primed: boolean): Scenario {
  return {
    title: `${name}, forward and backward${primed ? ' onto gradients' : ''}`,
    covers: [`${name}.forward`],
    build(rt, draw) {
      const module = make(rt, draw);
      const x = input(rt, draw);
      const target = targetFor(rt, module, x);
      const run = (): unknown => trainStep(rt, module, [x], target);
      if (primed) run();
      return { holders: [module, x, target], run };
    },
  };
}

/** Forward alone: masks of dropout go on from where they were. */
export function forwardScenario(
  title: string,
  covers: readonly string[],
  make: (rt: Runtime, draw: Draw) => { module: Layer; x: Tensor },
): Scenario {
  return {
    title: `${title}, forward`,
    covers,
    build(rt, draw) {
      const { module, x } = make(rt, draw);
      rt.scope(() => module.forward(x));
      return { holders: [module, x], run: () => rt.scope(() => module.forward(x).toArray()) };
    },
  };
}

const small = (rt: Runtime): Layer => new Sequential(new Linear(rt, 3, 4), new Linear(rt, 4, 2));

export const LAYERS: readonly Scenario[] = [
  ...CASES.filter(({ name }) => name !== 'Sequential').map(
    ({ name, make }): Scenario => ({
      title: `new ${name}`,
      covers: [name],
      build(rt, draw) {
        const again = repeated(draw);
        return { holders: [], run: () => make(rt, again()) };
      },
    }),
  ),
  {
    title: 'new Embedding of 16 bits',
    covers: ['Embedding'],
    build(rt, draw) {
      const again = repeated(draw);
      const options = { dtype: 'f16', paddingIdx: 1 } as const;
      return { holders: [], run: () => new Embedding(rt, 5, again().size(4), options) };
    },
  },
  {
    title: 'new Sequential',
    covers: ['Sequential'],
    build(rt) {
      const parts = [new Linear(rt, 2, 3), new ReLU()];
      return { holders: parts, run: () => new Sequential(...parts) };
    },
  },
  ...CASES.map(({ name, make, input }) =>
    forwardScenario(name, [`${name}.forward`], (rt, draw) => ({
      module: make(rt, draw),
      x: input(rt, draw),
    })),
  ),
  ...CASES.flatMap((kind) => [trained(kind, false), trained(kind, true)]),
  {
    title: 'reading and writing every parameter',
    covers: ['Module.stateDict', 'Module.loadStateDict'],
    build(rt) {
      const [from, to] = [small(rt), small(rt)];
      return { holders: [from, to], run: () => to.loadStateDict(from.stateDict()) };
    },
  },
];
