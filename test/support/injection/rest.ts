/** Injection scenarios of the runtime's own calls, tensors, optimisers and clipping. */
import {
  Adam,
  AdamW,
  clipGradNorm,
  Linear,
  mseLoss,
  mul,
  type Runtime,
  relu,
  Sequential,
  SGD,
  type Tensor,
} from '../../../src/index.js';
import type { Optimizer } from '../../../src/optim/base.js';
import { leaf } from '../tensors.js';
import { targetFor, trainStep } from './layers.js';
import { type Built, type Draw, repeated, type Scenario } from './scenario.js';

type Make = (module: Sequential) => Optimizer;
const OPTIMIZERS: readonly [string, Make][] = [
  ['SGD', (module) => new SGD(module.parameters(), { momentum: 0.9 })],
  ['Adam', (module) => new Adam(module.parameters())],
  [
    'AdamW',
    (module) => {
      const [first, ...others] = module.parameters();
      return new AdamW([{ parameters: [first!], lr: 0.1 }, { parameters: others }]);
    },
  ],
];

function net(rt: Runtime, draw: Draw): { module: Sequential; x: Tensor; target: Tensor } {
  const width = draw.size(5);
  const module = new Sequential(new Linear(rt, 4, width), new Linear(rt, width, 3));
  const x = leaf(rt, [3, 4]);
  return { module, x, target: targetFor(rt, module, x) };
}

function optimizerScenarios([name, make]: readonly [string, Make]): Scenario[] {
  const owner = name === 'SGD' ? 'SGD' : 'AdamBase';
  return [
    {
      title: `new ${name}`,
      covers: [name, 'AdamBase', 'Optimizer'],
      build(rt, draw) {
        const { module } = net(rt, draw);
        return { holders: [module], run: () => make(module) };
      },
    },
    {
      title: `${name}, steps of training`,
      covers: [`${owner}.step`, 'Optimizer.zeroGrad', 'Optimizer.scaleLr', 'clipGradNorm'],
      build(rt, draw) {
        const { module, x, target } = net(rt, draw);
        const optimizer = make(module);
        trainStep(rt, module, [x], target);
        optimizer.step();
        // Everything that allocates comes first, so that a failed turn changes nothing.
        const run = (): unknown => {
          const loss = trainStep(rt, module, [x], target);
          const norm = clipGradNorm(module.parameters(), 0.1);
          optimizer.step();
          optimizer.scaleLr(0.5);
          return [loss, norm];
        };
        return { holders: [module, optimizer, x, target], run };
      },
    },
  ];
}

/** A call of the runtime alone. */
function ofRuntime(name: string, run: (rt: Runtime, draw: Draw) => unknown): Scenario {
  return {
    title: `Runtime.${name}`,
    covers: [`Runtime.${name}`],
    build(rt, draw) {
      const again = repeated(draw);
      return { holders: [], run: () => run(rt, again()) };
    },
  };
}

function ofTensor(name: string, run: (tensor: Tensor, other: Tensor) => unknown): Scenario {
  return {
    title: `Tensor.${name}`,
    covers: [`Tensor.${name}`],
    build(rt, draw): Built {
      const shape = [draw.size(3), draw.size(4)];
      const [tensor, other] = [leaf(rt, shape), leaf(rt, shape)];
      tensor.requiresGrad = false;
      return { holders: [tensor, other], run: () => run(tensor, other) };
    },
  };
}

export const REST: readonly Scenario[] = [
  ...OPTIMIZERS.flatMap(optimizerScenarios),
  ofRuntime('tensor', (rt) => rt.tensor([1, 2, 3, 4], [2, 2])),
  ofRuntime('tensor', (rt) => rt.tensor([1, 2.7, 3], [3], { dtype: 'f16' })),
  ofRuntime('parameter', (rt, draw) =>
    rt.parameter(Float32Array.from({ length: draw.size(5) }, Math.sqrt), undefined, { dtype: 'bf16' }),
  ),
  ofRuntime('parameter', (rt, draw) => rt.parameter(null, [draw.size(3), 2])),
  ofRuntime('zeros', (rt, draw) => rt.zeros([draw.size(3), 2], { requiresGrad: true })),
  ofRuntime('full', (rt, draw) => rt.full([draw.size(3)], 7)),
  ofRuntime('uniform', (rt, draw) => rt.uniform([draw.size(5)], -1, 1)),
  ofRuntime('normal', (rt, draw) => rt.normal([draw.size(5)])),
  ofRuntime('scope', (rt) => rt.scope(() => rt.scope(() => [rt.zeros([2]), rt.normal([3])]))),
  ofRuntime('noGrad', (rt) => rt.noGrad(() => rt.scope(() => relu(rt.full([3], 2)).toArray()))),
  ofTensor('toArray', (tensor) => tensor.toArray()),
  ofTensor('copyTo', (tensor) => tensor.copyTo(new Float32Array(tensor.size))),
  ofTensor('set', (tensor, other) => tensor.set(other)),
  ofTensor('writeBytes', (tensor) => tensor.writeBytes(new Uint8Array(3).fill(65), 1)),
  ofTensor('detach', (tensor) => tensor.detach()),
  {
    title: 'backward of a leaf, from a gradient',
    covers: ['Tensor.backward', 'Parameter'],
    build(rt) {
      const module = new Linear(rt, 2, 3);
      const [weight] = module.parameters();
      const gradient = rt.normal(weight!.shape).keep();
      return { holders: [module, gradient], run: () => weight!.backward(gradient) };
    },
  },
  {
    title: 'a product of two losses of one model',
    covers: ['Tensor.backward'],
    build(rt, draw) {
      const { module, x, target } = net(rt, draw);
      const run = (): unknown =>
        rt.scope(() => {
          const both = mul(
            mseLoss(module.forward(x), target),
            mseLoss(module.forward(rt.zeros(x.shape)), target),
          );
          both.backward();
          return both.item();
        });
      return { holders: [module, x, target], run };
    },
  },
];
