/** A model that lies above 2 and 3 GiB, up to the last page that may be used: the same bits there, and what does not fit any more is refused. */
import { expect, test } from 'vitest';
import { createRuntime, LoraModel, OutOfMemoryError, type Runtime } from '../../src/index.js';
import { causalLoss, loadModel } from '../../src/models/index.js';
import { type StoredTiny, tinyFolder, tinyGguf } from '../support/tiny-model.js';

const GIB = 2 ** 30;
const LAST = 65_535 * 65_536;

/** Makes memory below an address unusable; nothing is written there, so that the machine gives none of it. */
function fillUpTo(rt: Runtime, address: number): void {
  const at = rt.engine.allocate(2 ** 20);
  rt.engine.allocate(address - at - 2 ** 20);
}

/** Blocks of 32 with a scale first. */
function quantised(all: Map<string, StoredTiny>): void {
  const bytes = Uint8Array.from({ length: 40 * 34 }, (_, i) =>
    i % 34 === 0 ? 0 : i % 34 === 1 ? 0x24 : (i * 7) & 255,
  );
  all.set('token_embd.weight', { sizes: [32, 40], type: 8, bytes });
}

/** Logits, a loss and its gradients, and a cached token, over a model that is loaded now. */
async function bitsOf(rt: Runtime): Promise<number[]> {
  using loaded = await loadModel(rt, new Blob([tinyGguf({ tensors: quantised })]));
  const { model } = loaded;
  using lora = LoraModel.attach(model, { r: 2, targetModules: 'all-linear' });
  const lowest = Math.min(...model.namedParameters().map(([, parameter]) => parameter.pointer));
  const values = rt.scope(() => {
    const ids = rt.tensor(Int32Array.of(3, 1, 4, 1, 5, 9), [1, 6]);
    const { sum } = causalLoss(model, ids, Int32Array.of(-100, 1, 4, 1, 5, 9));
    sum.backward();
    const gradients = lora.trainableParameters().flatMap((parameter) => [...parameter.grad!.toArray()]);
    return [...model.forward(ids).toArray(), sum.item(), ...gradients];
  });
  using cache = model.cache(6);
  const next = rt.scope(() => [...model.decode(rt.tensor(Int32Array.of(3, 1, 4), [1, 3]), cache).toArray()]);
  return [lowest, ...values, ...next];
}

test.for([1, 2])(
  'loss, gradients and decoding above 2 GiB, and just below the end, on %d threads',
  async (threads, { skip }) => {
    // One seed: adapters are drawn alike.
    const make = (): Promise<Runtime> => createRuntime({ kernels: 'simd', threads });
    const results: number[][] = [];
    for (const address of [0, 2 * GIB - 20_000, 2.5 * GIB, LAST - 24 * 2 ** 20]) {
      using rt = await make();
      skip(address > 0 && rt.engine.memoryLimit < LAST, 'address space is limited: there is no such memory');
      if (rt.engine.threading.pool !== null) rt.engine.threading.pool.eager = true;
      if (address > 0) fillUpTo(rt, address);
      const [lowest, ...values] = await bitsOf(rt);
      expect(lowest).toBeGreaterThanOrEqual(address);
      results.push(values);
    }
    for (const values of results.slice(1)) expect(values).toEqual(results[0]);
  },
);

test('memory reaches 65,535 pages and no further', async () => {
  using rt = await createRuntime({ threads: 1 });
  expect(rt.engine.memoryLimit).toBe(LAST);
  expect(rt.info().maxMemoryMB).toBe(4095);
  fillUpTo(rt, LAST - 8192);
  expect(rt.memory().bytes).toBe(LAST);
  const error = await loadModel(rt, tinyFolder()).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(OutOfMemoryError);
  expect((error as OutOfMemoryError).allowed).toBe(LAST);
});
