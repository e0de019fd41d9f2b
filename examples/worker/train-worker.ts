/** Trains an adapter off the page's thread: reports every step, stops when told, gives the adapter's files back. */
import {
  AdamW,
  createRuntime,
  crossEntropy,
  Linear,
  LoraModel,
  ReLU,
  Sequential,
  yieldToEvents,
} from 'lora-wasm';
import type { FromWorker, ToWorker } from './messages.js';

const say = (message: FromWorker, move: Transferable[] = []) =>
  globalThis.postMessage(message, { transfer: move });
const starting = createRuntime({ seed: 1 }); // in an isolated page with a thread for every core
let stopped = false;

globalThis.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  stopped = 'stop' in data;
  if ('stop' in data) return;
  const rt = await starting;
  const { threads, threadsReason } = rt.info();
  say({ threads, threadsReason });
  const model = new Sequential(new Linear(rt, 784, 256), new ReLU(), new Linear(rt, 256, 10));
  const lora = LoraModel.attach(model, { r: 8, loraAlpha: 16, targetModules: ['0', '2'] });
  const optimizer = new AdamW(lora.trainableParameters(), { lr: 0.005 });
  const [x, y] = [rt.tensor(data.images, [data.labels.length, 784]), rt.tensor(data.labels)];
  for (let step = 1; step <= data.steps && !stopped; step++) {
    const loss = rt.scope(() => {
      optimizer.zeroGrad();
      const loss = crossEntropy(lora.forward(x), y);
      loss.backward();
      optimizer.step();
      return loss.item();
    });
    say({ step, loss });
    await yieldToEvents(); // a message to stop is heard here
  }
  const files = lora.exportAdapter();
  say(
    { files },
    Object.values(files).map(({ buffer }) => buffer),
  );
};
