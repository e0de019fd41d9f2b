/** The demo's measurements: medians, with what is compared taking turns. */
import { Adam, type Layer, type LoraModel, type Runtime } from 'lora-wasm';
import { type Digits, PIXELS } from './data.js';
import { trainStep } from './model.js';
import { median } from './report.js';

/** Milliseconds of a forward pass of `batch` images, median of 50 after 10 unmeasured. */
export function timeForward(rt: Runtime, model: Layer, digits: Digits, batch: number): number {
  const count = Math.min(batch, digits.count);
  const x = rt.tensor(digits.images.subarray(0, count * PIXELS), [count, PIXELS]).keep();
  const times: number[] = [];
  for (let i = 0; i < 60; i++) {
    const start = performance.now();
    rt.scope(() => rt.noGrad(() => void model.forward(x)));
    if (i >= 10) times.push(performance.now() - start);
  }
  x.dispose();
  return median(times);
}

/** Milliseconds of switching from one adapter to another, median of 1,000. */
export function timeSwaps(lora: LoraModel, a: string, b: string): number {
  const times: number[] = [];
  for (let i = 0; i < 1100; i++) {
    const start = performance.now();
    lora.setAdapter(i % 2 === 0 ? a : b);
    if (i >= 100) times.push(performance.now() - start);
  }
  return median(times);
}

const STEPS_A_TURN = 10;

/**
 * Milliseconds of a LoRA step and of a step on all weights: they take turns of ten steps, the first of a turn unmeasured,
 * because it finds the cache full of the other's weights. Medians over all.
 */
export function compareSteps(
  rt: Runtime,
  lora: LoraModel,
  full: Layer,
  batches: Iterator<Digits>,
  { lr, rounds }: { readonly lr: number; readonly rounds: number },
): { lora: number; full: number } {
  const optimizers = {
    lora: new Adam(lora.trainableParameters(), { lr }),
    full: new Adam(full.parameters(), { lr }),
  };
  const times = { lora: [] as number[], full: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const which of ['lora', 'full'] as const) {
      for (let i = 0; i < STEPS_A_TURN; i++) {
        const batch = batches.next().value as Digits;
        const start = performance.now();
        trainStep(rt, which === 'lora' ? lora : full, optimizers[which], batch);
        if (i > 0) times[which].push(performance.now() - start);
      }
    }
  }
  optimizers.lora.dispose();
  optimizers.full.dispose();
  return { lora: median(times.lora), full: median(times.full) };
}
