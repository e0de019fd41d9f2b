/** Loads that fail for want of memory, by damage, an error of the source or a signal: nothing of them stays. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRuntime, FormatError, OutOfMemoryError, type Runtime } from '../../src/index.js';
import {
  type LanguageModel,
  type LoadModelOptions,
  loadModel,
  type ModelInput,
} from '../../src/models/index.js';
import { expectRefused } from '../support/refused-load.js';
import { folderFor, TINY_CONFIG, tinyFolder, tinyGguf } from '../support/tiny-model.js';

let rt: Runtime;
beforeAll(async () => {
  rt = await createRuntime({ threads: 1 });
});
afterAll(() => rt.dispose());

const [NAME, CONFIG, WEIGHTS] = ['tiny.gguf', 'config.json', 'model.safetensors'];
const file = (bytes: Uint8Array<ArrayBuffer>): File => new File([bytes], NAME);

test('a model that does not fit is refused before its weights are read, with the bytes it takes and may take', async () => {
  using small = await createRuntime({ threads: 1, maxMemoryMB: 2 });
  const { held } = small.memory();
  let last = 0;
  const whole = folderFor({ vocab_size: 20_000 });
  const blob = whole.get(WEIGHTS)!;
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    last = Math.max(last, end);
    return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
  };
  const source = new Map<string, Blob | { size: number; read: typeof read }>(whole).set(WEIGHTS, {
    size: blob.size,
    read,
  });
  const error = await loadModel(small, source).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(OutOfMemoryError);
  const { wanted, allowed, message } = error as OutOfMemoryError;
  expect(wanted).toBeGreaterThan(20_000 * 32 * 4);
  expect(wanted).toBeLessThan(blob.size + 200_000);
  expect(allowed).toBe(2 * 2 ** 20);
  for (const number of [wanted, allowed]) expect(message).toContain(String(number));
  // The header alone.
  expect(last).toBeLessThan(8000);
  expect(small.memory().held).toBe(held);
  using fitting = await loadModel(small, tinyFolder());
  expect(fitting.config.vocabSize).toBe(40);
});

test('damaged files and fields give a model or a FormatError, and nothing stays', async () => {
  const [gguf, weights] = [tinyGguf(), new Uint8Array(await tinyFolder().get(WEIGHTS)!.arrayBuffer())];
  const values = fc.constantFrom<unknown>(
    ...[0, -1, 1, 3, 7, 0.5, 1e9, 1e30, 1e-30, 2 ** 31, 65_536, '2', 'x', null, true, [], {}],
  );
  const damaged = (bytes: Uint8Array<ArrayBuffer>, reach: number) =>
    fc.array(fc.tuple(fc.nat(reach), fc.nat(255)), { minLength: 1, maxLength: 3 }).map((changes) => {
      const copy = bytes.slice();
      for (const [at, value] of changes) copy[at] = value;
      return new Blob([copy]);
    });
  const config = fc
    .dictionary(fc.constantFrom(...Object.keys(TINY_CONFIG)), values, { minKeys: 1, maxKeys: 2 })
    .map((change) => tinyFolder().set(CONFIG, new Blob([JSON.stringify({ ...TINY_CONFIG, ...change })])));
  const source = fc.oneof(
    damaged(gguf, 2000),
    damaged(gguf, gguf.length - 1),
    damaged(weights, 2400).map((blob) => tinyFolder().set(WEIGHTS, blob)),
    config,
  );
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(source, async (input) => {
      const { held, tensors } = rt.memory();
      const found = await loadModel(rt, input).catch((error: unknown) => error);
      if (found instanceof FormatError) seen.add('refused');
      else {
        seen.add('loaded');
        (found as LanguageModel).dispose();
      }
      expect(rt.memory()).toMatchObject({ held, tensors });
    }),
    { numRuns: 150 },
  );
  expect([...seen].sort()).toEqual(['loaded', 'refused']);
});

test('what is rounded to a type that cannot hold it is refused', async () => {
  const files = tinyFolder({
    tensors: (all) => {
      all.get('model.embed_tokens.weight')!.data[5] = 1e6;
    },
  });
  await expectRefused(rt, files, ["'model.embed_tokens.weight'", 'not finite as f16'], FormatError, {
    weights: 'f16',
  });
});

test('an error of the source, and a signal in the middle, leave nothing behind', async () => {
  const bytes = tinyGguf();
  let reads = 0;
  const failing = {
    size: bytes.length,
    read: async (begin: number, end: number): Promise<Uint8Array> => {
      if (++reads > 6) throw new Error('loadModel: the disk is gone');
      return bytes.slice(begin, end);
    },
  };
  await expectRefused(rt, failing, ['the disk is gone'], Error);
  const ending = new AbortController();
  let seen = 0;
  await expectRefused(rt, file(bytes), ['enough'], Error, {
    signal: ending.signal,
    onProgress: () => {
      if (++seen === 5) ending.abort(new Error('loadModel: enough'));
    },
  });
  expect(seen).toBe(5);
});

test('wrong options and sources are refused by name', async () => {
  const wrong: [ModelInput, LoadModelOptions, string][] = [
    [7 as never, {}, 'loadModel: source is 7'],
    [null as never, {}, 'loadModel: source is null'],
    [new Map([[7, new Blob([])]]) as never, {}, 'a name of source is 7'],
    [tinyFolder(), { weights: 'int4' as never }, "loadModel: weights is 'int4', expected 'stored', 'f32'"],
    [tinyFolder(), { signal: {} as never }, 'loadModel: signal is Object, expected an AbortSignal'],
    [tinyFolder(), { onProgress: 1 as never }, 'loadModel: onProgress is 1'],
    [tinyFolder(), { sha256: 5 as never }, 'loadModel: sha256 is 5'],
    [tinyFolder(), { hurry: true } as never, "loadModel: unknown option 'hurry'"],
  ];
  for (const [source, options, message] of wrong)
    await expectRefused(rt, source, [message], TypeError, options);
  await expectRefused(rt, tinyFolder(), ['sha256', '64'], RangeError, { sha256: 'abc' });
  await expectRefused(rt, tinyFolder(), ["cache is ''"], RangeError, { cache: '' });
  await expectRefused(rt, tinyFolder(), ['maxLength is 65', '1 to 64'], RangeError, { maxLength: 65 });
});

test('memory is constant over 100 loads and disposals', async () => {
  const [gguf, folder] = [file(tinyGguf()), tinyFolder()];
  const use: number[] = [];
  for (let i = 0; i < 100; i++) {
    const loaded = await loadModel(rt, i % 2 === 0 ? gguf : folder, {
      weights: i % 3 === 0 ? 'bf16' : 'stored',
    });
    loaded.dispose();
    loaded.dispose();
    const { bytes, held, blocks: live, tensors } = rt.memory();
    if (i === 1) use.push(bytes, held, live, tensors);
    if (i > 1) expect([bytes, held, live, tensors]).toEqual(use);
  }
});
