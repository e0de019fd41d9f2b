/** DoRA over convolutions with groups against what PEFT computed: outputs, gradients, the first magnitude, and merging. */
import { expect, test } from 'vitest';
import {
  Conv2d,
  type LoraConv2d,
  LoraModel,
  mul,
  type Runtime,
  Sequential,
  sum,
  type Tensor,
} from '../../src/index.js';
import { goldenJson } from '../golden-support/files.js';
import { apart, largestOf, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';

interface Case {
  readonly groups: number;
  readonly r: number;
  readonly alpha: number;
  readonly in: number;
  readonly out: number;
  readonly kernel: [number, number];
  readonly stride: [number, number];
  readonly padding: [number, number];
  readonly bias: number[] | null;
  readonly weight: number[];
  readonly A: number[];
  readonly B: number[];
  readonly freshMagnitude: number[];
  readonly magnitude: number[];
  readonly x: number[];
  readonly y: number[];
  readonly shape: number[];
  readonly dy: number[];
  readonly grad: { x: number[]; A: number[]; B: number[]; magnitude: number[] };
}

const { cases } = goldenJson<{ cases: Case[] }>('dora_groups.json');

function attach(rt: Runtime, one: Case): { lora: LoraModel; layer: LoraConv2d; x: Tensor } {
  const { groups, stride, padding } = one;
  const conv = new Conv2d(rt, one.in, one.out, one.kernel, {
    ...{ groups, stride, padding, bias: one.bias !== null },
  });
  conv.weight.set(one.weight);
  if (one.bias !== null) conv.bias!.set(one.bias);
  const lora = LoraModel.attach(new Sequential(conv), {
    ...{ r: one.r, loraAlpha: one.alpha, targetModules: ['0'], useDora: true },
  });
  const layer = lora.namedModules().map(([, module]) => module)[1] as LoraConv2d;
  return { lora, layer, x: rt.tensor(one.x, [2, one.in, 4, 3]).keep() };
}

function setFactors(layer: LoraConv2d, { A, B, magnitude }: Case): void {
  const factors = layer.factors('default');
  factors.A.set(A);
  factors.B.set(B);
  factors.magnitude!.set(magnitude);
}

/** Sums of at most some hundred float32 products, in another order than PyTorch's. */
function expectClose(found: ArrayLike<number>, wanted: readonly number[]): void {
  expect(largestOf(wanted)).toBeGreaterThan(0.1);
  expect(apart(found, wanted)).toBeLessThanOrEqual(1e-5 * largestOf(wanted));
}

describeRuntimes('DoRA over groups', (rt) => {
  test.each(cases)(
    '$groups groups, rank $r, kernel $kernel: outputs and gradients are those of PEFT',
    (one) => {
      const { lora, layer, x } = attach(rt(), one);
      const { A, B, magnitude } = layer.factors('default');
      expectClose(magnitude!.toArray(), one.freshMagnitude);
      setFactors(layer, one);
      x.requiresGrad = true;
      rt().scope(() => {
        const y = lora.forward(x);
        expect(y.shape).toEqual(one.shape);
        expectClose(y.toArray(), one.y);
        sum(mul(y, rt().tensor(one.dy, one.shape))).backward();
      });
      for (const [tensor, wanted] of [
        [x, one.grad.x],
        [A, one.grad.A],
        [B, one.grad.B],
        [magnitude!, one.grad.magnitude],
      ] as const)
        expectClose(tensor.grad!.toArray(), wanted);
      lora.dispose();
      x.dispose();
    },
  );

  test.each(cases)(
    '$groups groups, rank $r, kernel $kernel: merged, for a while and for good, it gives the same',
    (one) => {
      const { lora, layer, x } = attach(rt(), one);
      setFactors(layer, one);
      lora.eval();
      const apartFrom = valuesOf(rt(), lora, x);
      expect(lora.verifyMerge(x)).toBeLessThanOrEqual(1e-5 * largestOf(one.y));
      lora.merge();
      expectClose(valuesOf(rt(), lora, x), one.y);
      lora.unmerge();
      expect(valuesOf(rt(), lora, x)).toEqual(apartFrom);
      const plain = lora.mergeAndUnload();
      expectClose(valuesOf(rt(), plain, x), one.y);
      plain.dispose();
      x.dispose();
    },
  );
});
