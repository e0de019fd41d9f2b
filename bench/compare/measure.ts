/**
 * Times one checkout's built package in this process: products, fused forwards, training steps, and how much of a step runs
 * inside WebAssembly. Called by `main.ts` in a fresh process a round: `measure.ts ROOT [kernels]` prints one line of JSON,
 * milliseconds a call by name. It uses what every version of the package has: its public names, and `rt.engine.kernels`.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Package from 'lora-wasm';
import { recordCalls } from '../baselines/replay.js';
import { measure } from '../core/measure.js';

/** Rounds enough that the median one comes after the engine's compilers. */
const EFFORT = { rounds: 11, roundMs: 60 };

const [root, kernels = 'auto'] = process.argv.slice(2);
if (root === undefined) throw new Error('measure: no checkout given, expected its folder');
const entry = pathToFileURL(resolve(root, 'dist/index.js')).href;
const lib = (await import(entry)) as typeof Package;
const rt = await lib.createRuntime({ kernels: kernels as 'auto', threads: 1, seed: 1 });

/** Milliseconds of one call, the median over rounds. */
const time = (run: () => void): number => measure([{ name: 'it', run }], EFFORT).get('it')!.median;

const times: Record<string, number> = {};

for (const [M, N, K] of [
  [1, 768, 768],
  [10, 1000, 784],
  [64, 768, 768],
  [256, 768, 768],
] as const) {
  const x = rt.normal([M, K]);
  const plain = new lib.Linear(rt, K, N);
  times[`product ${M}x${N}x${K}`] = time(() => rt.scope(() => rt.noGrad(() => void plain.forward(x))));
  const lora = lib.LoraModel.attach(new lib.Sequential(plain), { r: 8, targetModules: ['0'] });
  times[`fused forward ${M}x${N}x${K}, r=8`] = time(() =>
    rt.scope(() => rt.noGrad(() => void lora.forward(x))),
  );
}

/** A step of LoRA over layers of these sizes with relu between: forward, loss, backward, Adam. */
function stepOf(sizes: readonly number[], batch: number, r: number): () => void {
  const layers = sizes.slice(1).flatMap((outputs, i) => {
    const linear = new lib.Linear(rt, sizes[i]!, outputs);
    return i === 0 ? [linear] : [new lib.ReLU(), linear];
  });
  const lora = lib.LoraModel.attach(new lib.Sequential(...layers), { r, targetModules: 'all-linear' });
  // So small a rate that thousands of steps on one batch end in no numbers that are slow to compute with.
  const optimizer = new lib.AdamW(lora.trainableParameters(), { lr: 1e-7 });
  const x = rt.normal([batch, sizes[0]!]);
  const target = rt.normal([batch, sizes.at(-1)!]);
  return () =>
    rt.scope(() => {
      optimizer.zeroGrad();
      lib.mseLoss(lora.forward(x), target).backward();
      optimizer.step();
    });
}

const MNIST = [784, 1000, 2000, 10];
for (const batch of [1, 10, 64]) times[`MNIST step, batch ${batch}`] = time(stepOf(MNIST, batch, 1));
times['step 768x768, batch 256, r=8'] = time(stepOf([768, 768], 256, 8));

const step = stepOf(MNIST, 10, 1);
for (let i = 0; i < 5; i++) step();
const calls = recordCalls(rt, step);
times['inside WebAssembly, MNIST step, batch 10'] = time(() => {
  for (const { kernel, args } of calls) kernel(...args);
});

console.log(JSON.stringify({ node: process.versions.node, kernels: rt.info().kernels, times }));
rt.dispose();
