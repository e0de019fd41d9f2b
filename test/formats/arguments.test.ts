/** What the functions of lora-wasm/formats are called with: options by name and type, and anything at all. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as formats from '../../src/formats/index.js';
import { makeFile, makeModule } from '../support/adapters.js';
import { wrong } from '../support/wrong.js';

const file = makeFile([makeModule('x', [4, 2, 3], 0.5)]);
const { 'adapter_model.safetensors': weights, 'adapter_config.json': config } = formats.writePeft(file);

/** Calls that are right but for their options. */
const WITH_OPTIONS: Record<string, (options: never) => unknown> = {
  convert: (options) => formats.convert({ weights, config }, wrong({ to: 'mlx', ...Object(options) })),
  readAdapter: (options) => formats.readAdapter({ weights, config }, options),
  readPeft: (options) => formats.readPeft({ weights, config: null }, options),
  writePeft: (options) => formats.writePeft(file, options),
  readLoralib: (options) => formats.readLoralib(formats.writeLoralib(file).weights, options),
  writeLoralib: (options) => formats.writeLoralib(file, options),
  writeKohya: (options) => formats.writeKohya(file, options),
  writeMlx: (options) => formats.writeMlx(file, options),
  readGguf: (options) => formats.readGguf(weights, options),
  writeGguf: (options) => formats.writeGguf(file, options),
  writeSafetensors: (options) => formats.writeSafetensors([], options),
};

async function thrownBy(act: () => unknown): Promise<unknown> {
  try {
    await act();
  } catch (error) {
    return error;
  }
  return null;
}

async function expectRefused(act: () => unknown, words: string): Promise<void> {
  const error = await thrownBy(act);
  expect(String(error)).toContain(words);
  expect(error).toBeInstanceOf(Error);
}

describe('options', () => {
  test.each(Object.entries(WITH_OPTIONS))('%s refuses one that it does not know', async (name, call) => {
    await expectRefused(
      () => call(wrong({ alhpa: 1 })),
      `TypeError: ${name}: unknown option 'alhpa', expected`,
    );
    if (name !== 'convert')
      for (const options of [new Map(), [], 7, null, new (class Options {})()])
        await expectRefused(() => call(wrong(options)), `TypeError: ${name}: options are`);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['convert', { force: 'no' }, 'TypeError: convert: force is '],
    ['convert', { dropUnsupported: 1 }, 'TypeError: convert: dropUnsupported is 1, expected a boolean'],
    ['convert', { alpha: '8' }, "TypeError: convert: alpha is '8', expected a number"],
    ['convert', { alpha: Number.NaN }, 'RangeError: convert: alpha is NaN, expected a finite number'],
    ['convert', { alpha: 1e39 }, 'RangeError: convert: alpha is 1e+39'],
    ['convert', { alpha: 4 }, 'FormatError: convert: alpha 4 was given'],
    ['convert', { base: { architecture: 'llama' } }, 'TypeError: convert: base.heads is undefined'],
    ['convert', { base: 'llama' }, "TypeError: convert: base is 'llama'"],
    ['readAdapter', { alpha: null }, 'TypeError: readAdapter: alpha is null'],
    ['readPeft', { alpha: Number.POSITIVE_INFINITY }, 'RangeError: readPeft: alpha is Infinity'],
    ['readLoralib', { alpha: true }, 'TypeError: readLoralib: alpha is true'],
    [
      'writePeft',
      { allowNonFinite: 'no' },
      "TypeError: writePeft: allowNonFinite is 'no', expected a boolean",
    ],
    ['writeKohya', { allowNonFinite: 0 }, 'TypeError: writeKohya: allowNonFinite is 0'],
    ['writeLoralib', { allowNonFinite: 0 }, 'TypeError: writeLoralib: allowNonFinite is 0'],
    ['writeMlx', { tied: 'yes' }, "TypeError: writeMlx: tied is 'yes'"],
    ['writeGguf', { base: 7 }, 'TypeError: writeGguf: base is 7'],
    ['writeSafetensors', { allowNonFinite: 1 }, 'TypeError: writeSafetensors: allowNonFinite is 1'],
    ['writeSafetensors', { metadata: { a: 1 } }, "TypeError: writeSafetensors: metadata 'a' is 1"],
  ])('%s refuses %j', async (name, options, words) => {
    await expectRefused(() => WITH_OPTIONS[name]!(wrong(options)), words);
  });
});

test('an error names the function that was called, not one within it', async () => {
  const bad = { weights: new Uint8Array(3), config: null };
  const infinite = makeModule('x', [4, 2, 3], 0.5);
  infinite.A.data[0] = Number.NaN;
  const lora = makeFile([infinite]);
  const { readKohya, readLoralib, parseSafetensors } = formats;
  const { writePeft, writeKohya, writeMlx, writeLoralib, writeGguf } = formats;
  const calls = {
    convert: () => formats.convert(bad, { to: 'mlx' }),
    readAdapter: () => formats.readAdapter(bad),
    detectFormat: () => formats.detectFormat(bad),
  };
  for (const [name, call] of Object.entries(calls))
    await expectRefused(call, `FormatError: ${name}: the file has 3 bytes`);
  for (const [name, read] of Object.entries({ readKohya, readLoralib, parseSafetensors }))
    await expectRefused(() => read(bad.weights), `FormatError: ${name}: the file has 3 bytes`);
  for (const [name, write] of Object.entries({ writePeft, writeKohya, writeMlx, writeLoralib, writeGguf }))
    await expectRefused(() => write(lora), `FormatError: ${name}: tensor '`);
  await expectRefused(
    () => formats.parsePeftConfig('{}'),
    'FormatError: parsePeftConfig: adapter_config.json',
  );
  await expectRefused(() => formats.openSafetensors(new Blob(['{}'])), 'FormatError: openSafetensors: ');
});

test('a config whose pattern is no Map of numbers is refused by name', async () => {
  const whole = makeFile([makeModule('x', [4, 2, 3], 0.5)]);
  const files = await formats.writePeft(whole);
  const weights = files['adapter_model.safetensors'];
  const { config } = await formats.readPeft({ weights, config: files['adapter_config.json'] });
  for (const rankPattern of [{}, null, new Map([['x', '8']]), new Map([[8, 8]])])
    await expectRefused(
      () => formats.writePeft({ ...whole, config: { ...config!, rankPattern: wrong(rankPattern) } }),
      'TypeError: writePeft: rank_pattern ',
    );
});

const anything = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withTypedArray: true,
  }),
  fc.constant(file),
  fc.constant(weights),
  fc.uint8Array({ minLength: 8, maxLength: 64 }),
  fc.record({ weights: fc.uint8Array(), config: fc.anything() }),
  fc.record({ r: fc.anything({ withBigInt: true }), loraAlpha: fc.anything(), targetModules: fc.anything() }),
  fc.record({
    format: fc.constant('mlx'),
    modules: fc.array(fc.anything()),
    extras: fc.array(fc.anything()),
  }),
);

const CALLS = Object.entries(formats).filter(([name]) => !/Error|^PEFT_PREFIX$/.test(name));

test.each(CALLS)(
  '%s with anything gives an error of a known kind that names it, or works',
  async (name, value) => {
    const call: unknown = value;
    if (typeof call !== 'function') throw new Error(`${name} is no function`);
    const made = /^[A-Z]/.test(name);
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { maxLength: 3 }), async (args) => {
        const error = await thrownBy(() =>
          made ? Reflect.construct(call, args) : Reflect.apply(call, undefined, args),
        );
        if (error === null) return;
        expect(error).toBeInstanceOf(Error);
        const { name: kind, message } = error as Error;
        expect(['TypeError', 'RangeError', 'FormatError']).toContain(kind);
        expect(message.startsWith(`${name}: `), message).toBe(true);
        expect(message.length).toBeLessThanOrEqual(2100);
        expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }),
      { numRuns: 60 },
    );
  },
);

test('bytes and arrays are told by what they are, not by whose they are', () => {
  class Other extends Float32Array {}
  const made = formats.writeSafetensors([['x', { shape: [2], data: Other.of(1, 2) }]]);
  expect([...formats.parseSafetensors(made.buffer).f32('x')]).toEqual([1, 2]);
});
