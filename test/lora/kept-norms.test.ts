/** The norms of DoRA are kept: a frozen weight is read whole once, and again where something has changed. */
import { expect, test } from 'vitest';
import { createRuntime, Linear, LoraLinear } from '../../src/index.js';
import { quantised } from '../support/blocks.js';
import { stir, valuesOf } from '../support/layers.js';

test('DoRA reads a frozen weight whole once, not at every forward, and again where something has changed', async () => {
  for (const dtype of ['f32', 'q8_0'] as const) {
    using rt = await createRuntime({ threads: 1, seed: 3 });
    const weight = quantised(rt, 'q8_0', [6, 64]);
    const own = dtype === 'q8_0' ? weight : rt.parameter(weight.toArray(), weight.shape);
    const layer = LoraLinear.from(new Linear(rt, 64, 6, { weight: own, bias: false }), {
      r: 2,
      useDora: true,
    });
    stir(rt, layer);
    const { engine } = rt;
    const { kernels } = engine;
    let read = 0;
    const counting = {
      ...kernels,
      rowNorms(...args: Parameters<typeof kernels.rowNorms>): void {
        read += args[0];
        kernels.rowNorms(...args);
      },
    };
    Object.defineProperty(engine, 'kernels', { value: counting, configurable: true, writable: true });
    const x = rt.normal([3, 64]).keep();
    const { A } = layer.factors('default');
    const seen: number[] = [];
    const forward = (): number[] => {
      const before = read;
      const values = valuesOf(rt, layer, x);
      seen.push(read - before);
      return values;
    };
    const first = forward();
    expect(forward()).toEqual(first);
    rt.scope(() => layer.forward(x).backward(rt.zeros([3, 6])));
    expect(forward()).toEqual(first);
    expect(seen).toEqual([6, 0, 0]);
    const values = A.toArray();
    A.set(values.map((value) => value * 2));
    expect(forward()).not.toEqual(first);
    A.set(values);
    expect(forward()).toEqual(first);
    layer.setScale('default', 0.5);
    expect(forward()).not.toEqual(first);
    layer.setScale('default', 1);
    expect(forward()).toEqual(first);
    layer.merge(undefined, { quantised: 'requantise' });
    forward();
    layer.unmerge();
    expect(forward()).toEqual(first);
    own.writeBytes(own.bytes().fill(0, 0, 34));
    expect(forward()).not.toEqual(first);
    expect(seen.slice(3)).toEqual([6, 6, 6, 6, 0, 6, 6]);
  }
});
