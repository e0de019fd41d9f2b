/** Every adapter that can be made is written to files that are read again, whatever options it combines. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parsePeftConfig, parseSafetensors } from '../../src/formats/index.js';
import {
  AdapterError,
  type AdapterFiles,
  createRuntime,
  FormatError,
  LoraModel,
  type Runtime,
} from '../../src/index.js';
import { FailingAllocator } from '../support/failing-allocator.js';
import { idsFor, Net, optionsOf, type PeftFields, peftFields } from '../support/random-adapters.js';

const rt = await createRuntime({ kernels: 'simd', seed: 8 });

/** An adapter with every value pushed, or null where the options are refused. */
function made(runtime: Runtime, net: Net, fields: PeftFields): LoraModel<Net> | null {
  try {
    const lora = LoraModel.attach(net, optionsOf(fields));
    for (const parameter of lora.trainableParameters())
      runtime.scope(() => {
        const push = runtime.normal(parameter.shape, 0.3).toArray();
        parameter.set(Float32Array.from(parameter.toArray(), (value, i) => value + push[i]!));
      });
    return lora.eval();
  } catch (error) {
    // Only what is contradictory, and by a sentence of ours.
    if (error instanceof AdapterError || error instanceof FormatError || error instanceof RangeError)
      return null;
    throw error;
  }
}

function outputs(lora: LoraModel<Net>): number[] {
  return rt.scope(() => rt.noGrad(() => [...lora.forward(idsFor(rt, 1)).toArray()]));
}

/** Null for OLoRA of weights stored [in, out]: PEFT has no form of it. */
function exported(lora: LoraModel<Net>, convert: boolean): AdapterFiles | null {
  try {
    return lora.exportAdapter('default', { convert });
  } catch (error) {
    if (!convert && error instanceof AdapterError && error.message.includes("has no form of PEFT's"))
      return null;
    throw error;
  }
}

/** Loads an export beside the adapter it came from and compares the outputs. */
async function comesBack(
  lora: LoraModel<Net>,
  convert: boolean,
  base: 'original' | 'changed',
): Promise<void> {
  const wanted = outputs(lora);
  const files = exported(lora, convert);
  if (files === null) return;
  const report = await lora.loadAdapter('again', files, { base });
  expect(report).toEqual({ missing: [], unexpected: [], unmatched: [], warnings: [] });
  // Over a changed base only the files' values can be compared.
  if (base === 'original') {
    lora.setAdapter('again');
    const largest = Math.max(1, ...wanted.map(Math.abs));
    for (const [i, value] of outputs(lora).entries())
      expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-4 * largest);
  }
  const again = lora.exportAdapter('again', { convert });
  expect(parsePeftConfig(again['adapter_config.json'])).toEqual(
    parsePeftConfig(files['adapter_config.json']),
  );
  if (
    !convert ||
    base === 'changed' ||
    !/pissa|olora/i.test(new TextDecoder().decode(files['adapter_config.json']))
  )
    expect(again['adapter_model.safetensors']).toEqual(files['adapter_model.safetensors']);
  expect(parseSafetensors(files['adapter_model.safetensors']).names.length).toBeGreaterThan(0);
  lora.setAdapter('default');
  lora.deleteAdapter('again');
}

/** The ranks and alphas that an export's config gives, and the rank of each A in it. */
function strengths(files: AdapterFiles) {
  const { config } = parsePeftConfig(files['adapter_config.json']);
  const file = parseSafetensors(files['adapter_model.safetensors']);
  const ranks = file.names
    .filter((name) => /lora_(?:embedding_)?A/.test(name))
    .map((name) => [name.replace(/^base_model\.model\.|\.lora.*$/g, ''), file.info(name).shape[0]]);
  return { config, ranks: Object.fromEntries(ranks) as Record<string, number> };
}

test.each(['pissa', 'pissa_niter_3', 'olora'] as const)(
  '%s with an embedding is written with the rank of each layer, under its exact name',
  async (initLoraWeights) => {
    const lora = LoraModel.attach(new Net(rt), {
      ...{ r: 2, loraAlpha: 3, initLoraWeights, targetModules: ['wte', 'head', 'layers.0.proj'] },
      ...{ rankPattern: { proj: 4 }, alphaPattern: { 'layers.0.proj': 6 } },
    });
    const { config, ranks } = strengths(lora.exportAdapter());
    expect(ranks).toEqual({ wte: 2, head: 4, 'layers.0.proj': 8 });
    expect(config).toMatchObject({ r: 2, loraAlpha: 3, initLoraWeights: true });
    expect([...config.rankPattern]).toEqual([
      ['^layers\\.0\\.proj', 8],
      ['^head', 4],
      ['proj', 4],
    ]);
    expect([...config.alphaPattern]).toEqual([
      ['^layers\\.0\\.proj', 12],
      ['^head', 6],
      ['layers.0.proj', 6],
    ]);
    lora.dispose();
  },
);

test('where every layer is converted the ranks are doubled for the whole config', () => {
  const lora = LoraModel.attach(new Net(rt), {
    ...{
      r: 2,
      loraAlpha: 3,
      initLoraWeights: 'pissa',
      targetModules: ['proj'],
      rankPattern: { 'h.1.proj': 3 },
    },
  });
  const { config, ranks } = strengths(lora.exportAdapter());
  expect(Object.values(ranks)).toEqual([4, 6, 4, 4]);
  expect(config).toMatchObject({ r: 4, loraAlpha: 6, rankPattern: new Map([['h.1.proj', 6]]) });
  lora.dispose();
});

test('an initialisation that took nothing out of the base is written as none, and loads', async () => {
  const lora = LoraModel.attach(new Net(rt), {
    ...{ r: 2, targetModules: ['wte'], initLoraWeights: 'pissa_niter_4' },
  });
  const files = lora.exportAdapter();
  expect(parsePeftConfig(files['adapter_config.json']).config.initLoraWeights).toBe(true);
  await lora.loadAdapter('again', files);
  await lora.loadAdapter(
    'as PEFT has it'.replaceAll(' ', '-'),
    lora.exportAdapter('default', { convert: false }),
  );
  lora.dispose();
});

test('a target that also matches lists and blocks is written as the layers by their whole names', () => {
  const lora = LoraModel.attach(new Net(rt), { r: 2, targetModules: 'layers.*' });
  const { config } = strengths(lora.exportAdapter());
  expect(config.targetModules).toBe(
    'layers\\.0\\.proj|layers\\.0\\.gate|layers\\.1\\.proj|layers\\.1\\.gate',
  );
  lora.dispose();
});

test('a fresh adapter leaves the output where its factors came out of the base, with DoRA and weights stored [in, out]', () => {
  const ids = idsFor(rt, 2).keep();
  for (const initLoraWeights of ['pissa', 'pissa_niter_4', 'olora'] as const)
    for (const useDora of [false, true]) {
      const net = new Net(rt);
      const before = rt.noGrad(() => net.forward(ids).toArray());
      const targetModules = ['fc', 'square', 'proj', 'head'];
      const lora = LoraModel.attach(net, { r: 2, loraAlpha: 3, useDora, targetModules, initLoraWeights });
      const after = rt.noGrad(() => lora.forward(ids).toArray());
      const largest = Math.max(...[...before].map(Math.abs));
      for (const [i, value] of after.entries())
        expect(Math.abs(value - before[i]!)).toBeLessThan(1e-5 * largest);
      lora.dispose();
    }
});

test('names and shapes are compared before a factor is computed or memory taken', async () => {
  const lora = LoraModel.attach(new Net(rt), { r: 2, targetModules: ['proj'], initLoraWeights: 'pissa' });
  const files = lora.exportAdapter('default', { convert: false });
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
  const weights = files['adapter_model.safetensors'];
  for (const [fields, message] of [
    [{ r: 3 }, /lora_A\.weight is \[2, 5\], expected \[3, 5\]/],
    [{ target_modules: ['gate'] }, /nothing in the file applies/],
    [{ use_dora: true }, /missing \[/],
  ] as const) {
    using allocator = new FailingAllocator(rt);
    await expect(lora.loadAdapter('new', { config: { ...config, ...fields }, weights })).rejects.toThrow(
      message,
    );
    expect(allocator.count).toBe(0);
  }
  lora.dispose();
});

test('what is exported is read again and computes the same, whatever options are combined', async () => {
  let tried = 0;
  await fc.assert(
    fc.asyncProperty(peftFields, async (fields) => {
      const net = new Net(rt);
      const lora = made(rt, net, fields);
      if (lora === null) {
        net.dispose();
        return;
      }
      tried++;
      await comesBack(lora, true, 'original');
      // Fast PiSSA draws random numbers: its own form goes with the base that it left alone.
      const drawn = String(fields.init_lora_weights).startsWith('pissa_niter');
      await comesBack(lora, false, drawn ? 'changed' : 'original');
      lora.dispose();
    }),
    { numRuns: 40 },
  );
  // Most of the combinations are sound: else the test has shown nothing.
  expect(tried).toBeGreaterThan(20);
});
