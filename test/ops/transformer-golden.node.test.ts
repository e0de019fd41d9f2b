/** The parts of a language model beside PyTorch and transformers: outputs and gradients of `test/golden/transformer.json`, on every build. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  causalAttention,
  embedding,
  rmsNorm,
  rotaryTable,
  rotate,
  swiglu,
  type Tensor,
} from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

interface Golden {
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly grad: readonly number[];
}

interface Case {
  readonly inputs: Readonly<Record<string, Golden>>;
  readonly y: readonly number[];
  readonly dy: readonly number[];
  readonly eps?: number;
  readonly ids?: readonly (readonly number[])[];
  readonly headDim?: number;
  readonly theta?: number;
  readonly positions?: readonly number[];
  readonly factors?: readonly number[];
  readonly options?: {
    readonly heads: number;
    readonly kvHeads: number;
    readonly offset: number;
    readonly window: number | null;
    readonly starts: readonly number[] | null;
    readonly scale: number | null;
  };
}

type Inputs = Readonly<Record<string, Tensor>>;

function attentionOf({ q, k, v }: Inputs, { options }: Case): Tensor {
  const { window, starts, scale, ...rest } = options!;
  return causalAttention(q!, k!, v!, {
    ...rest,
    ...(window === null ? {} : { window }),
    ...(starts === null ? {} : { starts: Int32Array.from(starts) }),
    ...(scale === null ? {} : { scale }),
  });
}

function rotated({ x }: Inputs, { headDim, theta, positions, factors }: Case): Tensor {
  const table = rotaryTable(x!.runtime, {
    ...{ headDim: headDim!, theta: theta!, length: Math.max(...positions!) + 1 },
    factors: Float32Array.from(factors!),
  });
  const y = rotate(x!, table, Int32Array.from(positions!));
  table.dispose();
  return y;
}

const OPERATIONS: Readonly<Record<string, (inputs: Inputs, one: Case) => Tensor>> = {
  rmsNorm: ({ x, weight }, { eps }) => rmsNorm(x!, weight!, eps),
  swiglu: ({ gate, up }) => swiglu(gate!, up!),
  rotate: rotated,
  causalAttention: attentionOf,
  embedding: ({ weight }, { ids }) =>
    embedding(weight!.runtime.tensor(Int32Array.from(ids!.flat()), [ids!.length, ids![0]!.length]), weight!),
};

const file = new URL('../golden/transformer.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Record<string, readonly Case[]> };

function expectClose(what: string, got: ArrayLike<number>, wanted: readonly number[]): void {
  expect(got.length, what).toBe(wanted.length);
  const largest = wanted.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
  const error = wanted.reduce((top, v, i) => Math.max(top, Math.abs(v - got[i]!)), 0);
  expect(largest, what).toBeGreaterThan(0.1);
  expect(error, what).toBeLessThan(2e-6 * largest);
}

describeRuntimes('PyTorch', (rt) => {
  test.each(Object.keys(OPERATIONS))('%s: output and gradients', (name) => {
    expect(cases[name]!.length).toBeGreaterThan(0);
    for (const one of cases[name]!)
      rt().scope(() => {
        const inputs = Object.fromEntries(
          Object.entries(one.inputs).map(([key, { data, shape }]) => [
            key,
            rt().tensor(data, shape, { requiresGrad: true }),
          ]),
        );
        const y = OPERATIONS[name]!(inputs, one);
        expectClose('y', y.toArray(), one.y);
        y.backward(rt().tensor(one.dy, y.shape));
        for (const [key, { grad }] of Object.entries(one.inputs))
          expectClose(`gradient of ${key}`, inputs[key]!.grad!.toArray(), grad);
      });
  });
});
