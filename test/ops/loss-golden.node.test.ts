/** linearCrossEntropy beside PyTorch: losses and gradients of `test/golden/loss.json`, plain and adapted, on every build. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Linear, LoraLayer, linearCrossEntropy, type Tensor } from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

interface Golden {
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly grad: readonly number[];
}

interface Case {
  readonly inputs: Readonly<Record<'hidden' | 'weight', Golden>> & Partial<Record<'A' | 'B', Golden>>;
  readonly labels: readonly number[];
  readonly reduction: 'mean' | 'sum';
  readonly scaling: number;
  readonly loss: number;
}

const file = new URL('../golden/loss.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: readonly Case[] };

function expectClose(what: string, got: ArrayLike<number>, wanted: readonly number[]): void {
  expect(got.length, what).toBe(wanted.length);
  const largest = wanted.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
  const error = wanted.reduce((top, v, i) => Math.max(top, Math.abs(v - got[i]!)), 0);
  expect(largest, what).toBeGreaterThan(0.01);
  expect(error, what).toBeLessThan(2e-6 * largest);
}

describeRuntimes('PyTorch', (rt) => {
  test.each(cases.map((one, i) => [i, one] as const))('linearCrossEntropy, case %d', (_, one) => {
    const { hidden: h, weight: w, A: a, B: b } = one.inputs;
    const hidden = rt().tensor(h.data, h.shape, { requiresGrad: true });
    const labels = rt().tensor(Int32Array.from(one.labels), h.shape.slice(0, -1));
    const head = new Linear(rt(), w.shape[1]!, w.shape[0]!, { bias: false });
    head.weight.set(w.data);
    const wanted: [string, Tensor, Golden][] = [['hidden', hidden, h]];
    let used: Linear | LoraLayer<Linear> = head;
    if (a !== undefined && b !== undefined) {
      const r = a.shape[0]!;
      used = LoraLayer.from(head, { r, loraAlpha: r * one.scaling });
      const { A, B } = used.factors('default');
      A.set(a.data);
      B.set(b.data);
      wanted.push(['A', A, a], ['B', B, b]);
    } else wanted.push(['weight', head.weight, w]);
    const loss = linearCrossEntropy(hidden, used, labels, { reduction: one.reduction });
    expect(Math.abs(loss.item() - one.loss)).toBeLessThan(1e-6 * one.loss);
    loss.backward();
    for (const [name, tensor, { grad }] of wanted)
      expectClose(`gradient of ${name}`, tensor.grad!.toArray(), grad);
    head.dispose();
  });
});
