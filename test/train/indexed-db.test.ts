/** Checkpoints in a page's database: what comes back, how many stay, and a run that goes on from one. */
import { afterEach, describe, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.js';
import { indexedDbStore, Trainer } from '../../src/train/index.js';
import { drain, inBatches, lossOf, makeLora, makeRows, textOf } from '../support/training.js';

const NAME = 'test';

describe.skipIf(typeof indexedDB === 'undefined')('checkpoints in IndexedDB', () => {
  afterEach(async () => {
    const request = indexedDB.deleteDatabase(`lora-wasm ${NAME}`);
    await new Promise((resolve, reject) => {
      request.onsuccess = resolve;
      request.onerror = reject;
    });
  });

  test('the newest one is given back as it was saved, the older ones as many as are to stay', async () => {
    const store = indexedDbStore(NAME, { keep: 2 });
    expect(await store.latest()).toBeNull();
    const files = (step: number) => new Map([['a.bin', new Uint8Array([9, 9, step, 9]).subarray(2, 3)]]);
    for (const step of [1, 2, 10]) {
      await store.save(step, files(step));
      expect(await store.latest()).toEqual({ step, files: new Map([['a.bin', Uint8Array.of(step)]]) });
    }
    const { files: found } = (await store.latest())!;
    expect(found.get('a.bin')!.buffer.byteLength).toBe(1);
    // A smaller number keeps fewer from the next one on; a step that is saved again takes the place of the first.
    await indexedDbStore(NAME, { keep: 1 }).save(10, files(7));
    expect(await store.latest()).toEqual({ step: 10, files: new Map([['a.bin', Uint8Array.of(7)]]) });
    await expect(store.save(-1, new Map())).rejects.toThrow('indexedDbStore.save: step is -1');
    await expect(store.save(1, new Map([['a', 'b' as never]]))).rejects.toThrow(
      "indexedDbStore.save: a is 'b', expected bytes",
    );
  });

  test('a run that was left goes on from it and ends in the same bytes', async () => {
    using rt = await createRuntime({ kernels: 'simd', threads: 1, seed: 7 });
    const make = (store: boolean) => {
      rt.setRandomState({ seed: 7, draws: 0, layers: 0 });
      const options = store ? { store: indexedDbStore(NAME), resume: true, saveEvery: 1 } : {};
      return new Trainer(makeLora(rt, { loraDropout: 0.2 }), inBatches(makeRows(12), [4, 4, 4]), {
        ...{ loss: lossOf(rt), epochs: 2 },
        loss: lossOf(rt),
        ...options,
      });
    };
    const whole = make(false);
    await drain(whole.run());
    for await (const event of make(true).run()) if (event.type === 'checkpoint' && event.step === 4) break;
    const second = make(true);
    const { events } = await drain(second.run());
    expect(events[0]).toMatchObject({ type: 'step', step: 5 });
    expect(textOf(second.save())).toEqual(textOf(whole.save()));
  });
});

test('a name or number that is none is refused, and a place without a database says so', () => {
  expect(() => indexedDbStore('')).toThrow("indexedDbStore: name is ''");
  expect(() => indexedDbStore('a', { keep: 0 })).toThrow('indexedDbStore: keep is 0');
  if (typeof indexedDB === 'undefined')
    expect(() => indexedDbStore('a')).toThrow('indexedDbStore: there is no IndexedDB here');
});
