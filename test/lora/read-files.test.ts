/**
 * Adapters that the readers of `formats` gave, loaded onto a model: each computes what the PEFT file does that it was
 * converted from.
 */
import { expect, test } from 'vitest';
import {
  type GgufBase,
  type LoraFile,
  readGguf,
  readKohya,
  readLoralib,
  readMlx,
  readPeft,
  writeGguf,
  writeKohya,
  writeLoralib,
  writeMlx,
} from '../../src/formats/index.js';
import {
  AdapterError,
  createRuntime,
  Embedding,
  FormatError,
  type Layer,
  Linear,
  type LoraConfig,
  LoraModel,
  Module,
  type Runtime,
  type Tensor,
} from '../../src/index.js';
import { chain } from '../support/chain.js';
import { Language } from '../support/language.js';
import { apart, valuesOf } from '../support/layers.js';

const BASE: GgufBase = { architecture: 'llama', heads: 2, kvHeads: 2, tied: false };
const PLAIN: LoraConfig = { r: 2, loraAlpha: 4, targetModules: ['q_proj', 'v_proj'] };
const TOKENS: LoraConfig = { ...PLAIN, targetModules: ['embed_tokens', 'q_proj'] };
const UNEVEN: LoraConfig = {
  ...PLAIN,
  useRslora: true,
  rankPattern: { 'layers.0.self_attn.q_proj': 3 },
  alphaPattern: { 'layers.1.self_attn.v_proj': 7 },
};

type Convert = (file: LoraFile) => LoraFile | Promise<LoraFile>;

const FORMATS: Record<string, Convert> = {
  peft: (file) => file,
  mlx: (file) => {
    const files = writeMlx(file);
    return readMlx({ config: files['adapter_config.json'], weights: files['adapters.safetensors'] });
  },
  gguf: async (file) => readGguf((await writeGguf(file, { base: BASE })).bytes, { base: BASE }),
  kohya: (file) => readKohya(writeKohya(file)),
  loralib: (file) => {
    const { weights, alpha } = writeLoralib(file);
    return readLoralib(weights, { alpha });
  },
};

function stir(rt: Runtime, lora: LoraModel<Layer>): void {
  for (const [name, parameter] of lora.namedParameters())
    if (name.includes('lora_'))
      rt.scope(() => {
        parameter.set(rt.normal(parameter.shape, 0.5));
      });
}

/** A trained adapter over a base, as PEFT's files, and a second model of the same base without an adapter. */
async function trained(config: LoraConfig) {
  const rt = await createRuntime({ seed: 5 });
  const model = new Language(rt);
  const state = model.stateDict();
  const lora = LoraModel.attach(model, config);
  stir(rt, lora);
  const files = lora.exportAdapter();
  const fresh = new Language(rt);
  fresh.loadStateDict(state);
  const other = LoraModel.attach(fresh).eval() as LoraModel<Language>;
  const ids = rt.tensor(
    Int32Array.from({ length: 12 }, (_, i) => i),
    [3, 4],
  );
  const run = (name: string | string[]): number[] => {
    other.setAdapter(name);
    return valuesOf(rt, other, ids);
  };
  await other.loadAdapter('peft', files);
  const file = readPeft({
    config: files['adapter_config.json'],
    weights: files['adapter_model.safetensors'],
  });
  return { rt, lora: other, files, file, run };
}

const cases = Object.keys(FORMATS).flatMap((format) =>
  Object.entries({ PLAIN, TOKENS, UNEVEN }).flatMap(([name, config]) =>
    format === 'kohya' && config === TOKENS ? [] : [[format, name, config] as const],
  ),
);

test.each(cases)(
  'an adapter read from %s (%s) gives the output of the PEFT file that it was',
  async (format, name, config) => {
    const { rt, lora, file, run } = await trained(config);
    const read = await FORMATS[format]!(file);
    expect(read.format).toBe(format);
    const before = rt.randomState();
    const report = await lora.loadAdapter('read', read);
    expect(rt.randomState()).toEqual(before);
    expect(report).toEqual({ missing: [], unexpected: [], unmatched: [], warnings: [...read.warnings] });
    const [wanted, got] = [run('peft'), run('read')];
    // Formats with one scale or rank have the others' in B, rounded once to float32.
    if (name !== 'UNEVEN' || format === 'peft') expect(got).toEqual(wanted);
    const largest = Math.max(...wanted.map(Math.abs));
    expect(apart(got, wanted)).toBeLessThan(largest * 1e-6);
    lora.setAdapter([]);
    expect(apart(wanted, run('read'))).toBeLessThan(largest * 1e-6);
    rt.dispose();
  },
);

test('loading draws nothing where the file has a layer, and draws what it lacks', async () => {
  const { rt, lora, files } = await trained(PLAIN);
  const before = rt.randomState();
  await lora.loadAdapter('whole', files);
  expect(rt.randomState()).toEqual(before);
  const part = readPeft({
    config: files['adapter_config.json'],
    weights: files['adapter_model.safetensors'],
  });
  const modules = part.modules.filter(({ path }) => !path.endsWith('1.self_attn.v_proj'));
  const { missing } = await lora.loadAdapter('part', { ...part, modules }, { strict: false });
  expect(missing.map((key) => key.replace(/^.*\.(?=lora)/, ''))).toEqual(['lora_A.weight', 'lora_B.weight']);
  expect(rt.randomState()).toEqual({ ...before, layers: before.layers + 1 });
  const layer = lora.layer('model.layers.1.self_attn.v_proj');
  expect([...layer.factors('part').B.toArray()].every((value) => value === 0)).toBe(true);
  rt.dispose();
});

class Named extends Module {
  readonly fc: Linear;
  readonly head: { readonly fc: Linear };
  readonly head_fc: Linear | null;

  constructor(rt: Runtime, clash: boolean) {
    super();
    this.fc = new Linear(rt, 4, 4);
    this.head = { fc: new Linear(rt, 4, 4) };
    this.head_fc = clash ? new Linear(rt, 4, 4) : null;
  }

  override forward(x: Tensor): Tensor {
    return this.head.fc.forward(this.fc.forward(x));
  }
}

const matrix = (shape: readonly number[]) => ({
  shape,
  data: Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => i / 8),
});

function loralib(path: string, alpha: number | null = 2): LoraFile {
  const strength = { alpha, scale: alpha === null ? null : alpha / 2 };
  const module = { path, kind: 'linear', A: matrix([2, 4]), B: matrix([4, 2]), r: 2, ...strength } as const;
  return { format: 'loralib', modules: [module], extras: [], config: null, warnings: [] };
}

test('a layer whose name ends another adapts that one alone, and names with underscores find their layers', async () => {
  const rt = await createRuntime();
  const lora = LoraModel.attach(new Named(rt, false));
  await lora.loadAdapter('fc', loralib('fc'));
  expect(lora.report().wrapped).toEqual(['fc']);
  await lora.loadAdapter('head', { ...loralib('lora_unet_head_fc'), format: 'kohya' });
  expect(lora.layer('head.fc').adapters).toEqual(['head']);
  expect(lora.layer('fc').adapters).toEqual(['fc']);
  const clash = LoraModel.attach(new Named(rt, true));
  await expect(clash.loadAdapter('x', { ...loralib('lora_unet_head_fc'), format: 'kohya' })).rejects.toThrow(
    AdapterError,
  );
  await clash.loadAdapter('x', { ...loralib('lora_unet_fc'), format: 'kohya' });
  rt.dispose();
});

test('an embedding is told by the model, whatever its name', async () => {
  const rt = await createRuntime();
  const lora = LoraModel.attach(chain({ rows: new Embedding(rt, 4, 4), wte: new Linear(rt, 4, 4) }));
  const linear = loralib('rows');
  const lookup = { ...loralib('wte').modules[0]!, kind: 'embedding' as const };
  await lora.loadAdapter('both', { ...linear, modules: [...linear.modules, lookup] });
  for (const name of ['rows', 'wte'])
    expect([...lora.layer(name).factors('both').B.toArray()]).toEqual([...linear.modules[0]!.B.data]);
  rt.dispose();
});

test('what a model cannot take of a read adapter is refused by name, and nothing has changed', async () => {
  const rt = await createRuntime();
  const lora = LoraModel.attach(new Named(rt, false));
  const where = 'LoraModel.loadAdapter: ';
  const load = (file: unknown, options = {}) => lora.loadAdapter('x', file as LoraFile, options);
  await expect(load(loralib('fc', null))).rejects.toThrow(`${where}the alpha of 'fc' is not in the file`);
  await expect(load(loralib('fc', null))).rejects.toThrow(FormatError);
  await expect(load(loralib('other'))).rejects.toThrow(`${where}target 'other' matches no layer`);
  await expect(load(loralib('fc'), { prefix: 'a.' })).rejects.toThrow(`${where}prefix is 'a.'`);
  const wide = { ...loralib('fc').modules[0]!, A: matrix([2, 5]) };
  await expect(load({ ...loralib('fc'), modules: [wide] })).rejects.toThrow(
    'lora_A.weight is [2, 5], expected [2, 4]',
  );
  const extra = { name: 'fc.m', kind: 'magnitude', layer: 'fc', tensor: matrix([4, 1]) };
  await expect(load({ ...loralib('fc'), extras: [extra] })).rejects.toThrow("'fc.m' (magnitude");
  await expect(load({ modules: 3, extras: [] })).rejects.toThrow(TypeError);
  expect(lora.adapters).toEqual([]);
  expect(lora.report().wrapped).toEqual([]);
  rt.dispose();
});
