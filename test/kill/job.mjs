/**
 * A tiny job with dropout and accumulation that keeps a checkpoint at every step, for `lives.ts`, which kills it; over the built package. Run as
 * `node job.mjs FOLDER OPERATION THREADS`: with an OPERATION from 0 up it kills itself, as `kill -9` does, at that call to the file
 * system of its saves, half of a file written where the call writes one.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { AdamW, createRuntime, crossEntropy, Dropout, Linear, LoraModel, ReLU, Sequential } from 'lora-wasm';
import { folderStore } from 'lora-wasm/node';
import { Trainer } from 'lora-wasm/train';

const [folder = '', operation = '-1', threads = '1'] = process.argv.slice(2);
let left = Number(operation);

/**
 * Calls the file system, or ends in the middle of the call.
 * @template T
 * @param {() => Promise<T>} call
 * @param {() => Promise<unknown>} half - what it has done when it ends
 * @returns {Promise<T>}
 */
async function counted(call, half = async () => {}) {
  if (left-- === 0) {
    await half();
    process.kill(process.pid, 'SIGKILL');
  }
  return call();
}

/** Lets every call of a save count. */
function watchFiles() {
  const { promises } = fs;
  const { mkdir, open, rename, rm } = promises;
  promises.mkdir = (...given) => counted(() => mkdir(...given));
  promises.rename = (...given) => counted(() => rename(...given));
  promises.rm = (...given) => counted(() => rm(...given));
  promises.open = async (...given) => {
    const handle = await counted(() => open(...given));
    const { writeFile, sync } = handle;
    handle.writeFile = (bytes) =>
      counted(
        () => writeFile.call(handle, bytes),
        () => handle.write(bytes.subarray(0, bytes.length / 2)),
      );
    handle.sync = () => counted(() => sync.call(handle));
    return handle;
  };
  syncBuiltinESMExports();
}

const rt = await createRuntime({ kernels: 'simd', threads: Number(threads), seed: 11 });
const model = new Sequential(new Linear(rt, 5, 6), new ReLU(), new Dropout(rt, 0.3), new Linear(rt, 6, 3));
const lora = LoraModel.attach(model, { r: 2, loraDropout: 0.2, targetModules: 'all-linear' });
const batches = Array.from({ length: 9 }, (_, i) => ({
  x: Float32Array.from({ length: 20 }, (_, j) => Math.sin(i * 20 + j)),
  y: Int32Array.from({ length: 4 }, (_, j) => (i + j) % 3),
}));
const trainer = new Trainer(lora, batches, {
  loss: ({ x, y }) => crossEntropy(lora.forward(rt.tensor(x, [4, 5])), rt.tensor(y)),
  optimizer: new AdamW(lora.parameterGroups({ lr: 0.02, loraPlusLrRatio: 4 })),
  ...{ schedule: 'cosine', warmup: 3, accumulate: 2, epochs: 4, clipNorm: 1 },
  ...{ evaluate: batches.slice(0, 2), evaluateEvery: 3, keepBest: true },
  ...{ store: folderStore(folder, { keep: 2 }), saveEvery: 1, resume: true },
});
if (left >= 0) watchFiles();
console.log('ready');
const run = trainer.run();
for (let next = await run.next(); next.done !== true; next = await run.next())
  // The first step of a life says from where it went on.
  console.log(`${next.value.type} ${next.value.step}`);
console.log('done');
rt.dispose();
