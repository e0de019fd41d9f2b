/** Where gradients lie: the first of a step where it stays, later ones added in its place. */
import { describe, expect, test } from 'vitest';
import {
  createRuntime,
  Linear,
  LoraModel,
  mseLoss,
  type Parameter,
  ReLU,
  type Runtime,
  Sequential,
} from '../../src/index.js';
import { FailingAllocator } from '../support/failing-allocator.js';
import { forget, gradientsOf } from '../support/tensors.js';

const rt: Runtime = await createRuntime({ kernels: 'simd', threads: 1, seed: 3 });

describe('memory of a step', () => {
  const made = (): LoraModel<Sequential> =>
    LoraModel.attach(new Sequential(new Linear(rt, 60, 50), new ReLU(), new Linear(rt, 50, 10)), {
      r: 4,
      targetModules: ['0', '2'],
    });
  const lora = made();
  const leaves = lora.trainableParameters() as Parameter[];
  const x = rt.normal([20, 60]).keep();
  const y = rt.normal([20, 10]).keep();
  const step = (model = lora): void => rt.scope(() => mseLoss(model.forward(x), y).backward());
  // Scratch grows at the first step of these shapes, whichever model makes it.
  step(made());
  const peakOf = (): { peak: number; count: number } => {
    const { held } = rt.memory();
    using allocator = new FailingAllocator(rt);
    step();
    return { peak: allocator.peak - held, count: allocator.count };
  };

  test('a first gradient is written where it stays: side by side, with nothing allocated for it', () => {
    const first = peakOf();
    const { block } = leaves[0]!;
    for (const leaf of leaves)
      expect(leaf.grad!.pointer - leaves[0]!.grad!.pointer).toBe(leaf.pointer - leaves[0]!.pointer);
    forget(leaves);
    const again = peakOf();
    expect(first.count).toBe(again.count + 1);
    expect(first.peak - again.peak).toBeLessThanOrEqual(block.bytes + 4096);
    forget(leaves);
  });

  test('gradients that are added to raise the peak by no more than themselves', () => {
    const fresh = peakOf();
    const added = peakOf();
    const bytes = leaves.reduce(
      (total, { size }) => total + Math.max(64, Math.ceil((size * 4) / 64) * 80),
      0,
    );
    expect(added.count).toBe(fresh.count + leaves.length);
    expect(added.peak - fresh.peak).toBeGreaterThan(0);
    expect(added.peak - fresh.peak).toBeLessThanOrEqual(bytes);
    forget(leaves);
  });

  test('a sum of two backwards is the two gradients added', () => {
    step();
    const one = gradientsOf(leaves);
    step();
    expect(gradientsOf(leaves)).toEqual(one.map((g) => Float32Array.from(g!, (value) => value + value)));
    forget(leaves);
  });
});
