/** The built command in a process of its own: what it prints and writes, and how it refuses. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AdapterBytes,
  baseFromConfig,
  readAdapter,
  writeKohya,
  writeLoralib,
  writePeft,
  writeSafetensors,
} from '../../src/formats/index.js';
import { expectSameDelta, makeFile, makeModule } from '../support/adapters.js';
import { NAMED, REFUSED } from './refused-adapters.js';
import { type Ran, ServedCommand, started } from './served.js';

const file = makeFile([
  makeModule('model.layers.0.self_attn.q_proj', [8, 2, 5], 0.5),
  makeModule('model.layers.0.mlp.up_proj', [6, 3, 5], 2),
]);
const config = '{"model_type":"llama","num_attention_heads":2}';
let folder = '';

let command: ServedCommand;

const run = (...args: string[]): Promise<Ran> => command.run(args);

function put(path: string, bytes: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), bytes);
}

function written(path: string, beside?: string): AdapterBytes {
  const bytes = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
  return { weights: bytes(path), config: beside === undefined ? null : bytes(beside) };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-wasm #2 '));
  for (const [name, bytes] of Object.entries(writePeft(file))) put(`peft/${name}`, bytes);
  const extras = [
    { name: 'base_model.model.head.weight', kind: 'saved', tensor: file.modules[0]!.A },
  ] as const;
  for (const [name, bytes] of Object.entries(writePeft({ ...file, extras }))) put(`extra/${name}`, bytes);
  put('loralib.safetensors', writeLoralib(file).weights);
  put('image.safetensors', writeKohya(makeFile([makeModule('to_q', [3, 2, 4], 0.5)])));
  put('base/config.json', config);
  put('bin/adapter_model.bin', 'x');
  put('package.json', '{"name": "x"}');
  put('cut.gguf', 'x'.repeat(64));
  put('wrong/adapter_model.safetensors', writePeft(file)['adapter_model.safetensors']);
  put('wrong/adapter_config.json', '{"peft_type":"IA3"}');
  put('empty/readme', 'x');
  put('cut.safetensors', writeLoralib(file).weights.subarray(0, 100));
  put('plain.safetensors', writeSafetensors([['fc.weight', file.modules[0]!.A]]));
  const hostile = makeModule('a\u001b[31m\nb\u202e', [3, 2, 4], 0.5);
  put('hostile.safetensors', writeLoralib(makeFile([hostile])).weights);
  command = new ServedCommand(folder);
});
afterAll(() => {
  command.stop();
  rmSync(folder, { recursive: true });
});

test.each([
  [['--version']],
  [['inspect', 'peft']],
  [['convert', 'peft', 'started.safetensors', '--to', 'kohya', '--overwrite']],
  [['inspect', 'nothing']],
  [['convert', 'peft', 'y']],
  [[]],
])('%j, started as a user does, says what it says here', async (args) => {
  const own = started(folder, args);
  expect(own).toEqual(await run(...args));
  expect(own.stdout + own.stderr).not.toBe('');
});

describe('inspect', () => {
  test('a folder, as JSON', async () => {
    const { status, stdout } = await run('inspect', 'peft', '--json');
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ format: 'peft', parameters: 16 + 10 + 18 + 15, ranks: [2, 3] });
    expect(report.bytes).toBe(written('peft/adapter_model.safetensors').weights.length);
    expect(report.layers).toHaveLength(2);
    const layer = report.layers.find(({ r }: { r: number }) => r === 2);
    expect(layer).toMatchObject({ A: [2, 5], B: [8, 2], alpha: 1, scale: 0.5 });
    const squares = file.modules[0]!.A.data.reduce((sum, value) => sum + value * value, 0);
    expect(layer.norms.A).toBeCloseTo(Math.sqrt(squares), 10);
    expect(layer.norms.delta).toBeGreaterThan(0);
  });

  test('a table, alpha unknown', async () => {
    const { status, stdout } = await run('inspect', 'loralib.safetensors');
    expect(status).toBe(0);
    expect(stdout).toContain('loralib adapter, 2 layers, 59 parameters');
    expect(stdout).toContain('alpha unknown');
    expect(stdout).toMatch(/model\.layers\.0\.mlp\.up_proj.*linear.*\[3, 5\].*\[6, 3\].*unknown.*unknown/);
  });

  test('tensors beside the factors, and a bare file with its config', async () => {
    const { stdout } = await run('inspect', 'extra/adapter_model.safetensors');
    expect(stdout).toContain('also base_model.model.head.weight [2, 5] (unknown)');
    expect(stdout).toContain('alpha 1, 6');
  });

  test('characters of a name that change what a terminal shows do not reach it', async () => {
    const { status, stdout, stderr } = await run('inspect', 'hostile.safetensors');
    expect(status).toBe(0);
    expect(stdout).toContain('a\\u001b[31m\\u000ab\\u202e');
    expect(stdout + stderr).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
    const json = (await run('inspect', 'hostile.safetensors', '--json')).stdout;
    expect(json).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
    expect(JSON.parse(json).layers[0].path).toBe('a\u001b[31m\nb\u202e');
    const refused = await run(
      'convert',
      'hostile.safetensors',
      'y',
      '--to',
      'gguf',
      '--alpha',
      '2',
      '--base',
      'base',
    );
    expect(refused.stderr).toContain('\\u202e');
    expect(refused.stderr).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
  });
});

describe('convert', () => {
  test('PEFT to MLX and back', async () => {
    const { status, stdout, stderr } = await run('convert', 'peft', 'out/mlx', '--to', 'mlx');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(join('out', 'mlx', 'adapters.safetensors'));
    expect(readdirSync(join(folder, 'out/mlx')).sort()).toEqual([
      'adapter_config.json',
      'adapters.safetensors',
    ]);
    expect((await run('convert', 'out/mlx', 'out/peft', '--to', 'peft')).status).toBe(0);
    const again = written('out/peft/adapter_model.safetensors', 'out/peft/adapter_config.json');
    expectSameDelta(await readAdapter(again), file);
  });

  test('to GGUF with a base, by file and by folder', async () => {
    expect(
      (await run('convert', 'peft', 'a.gguf', '--to', 'gguf', '--base', 'base/config.json')).status,
    ).toBe(0);
    expect((await run('convert', 'peft', 'b.gguf', '--to', 'gguf', '--base', 'base')).status).toBe(0);
    expect(written('a.gguf')).toEqual(written('b.gguf'));
    expectSameDelta(await readAdapter(written('a.gguf'), { base: baseFromConfig(config) }), file);
  });

  test('kohya to PEFT', async () => {
    expect((await run('convert', 'image.safetensors', 'image', '--to', 'peft')).status).toBe(0);
    const again = written('image/adapter_model.safetensors', 'image/adapter_config.json');
    expect((await readAdapter(again)).modules[0]).toMatchObject({ path: 'lora_unet_to_q', scale: 0.5 });
  });

  test('alpha is asked for', async () => {
    const refused = await run('convert', 'loralib.safetensors', 'l', '--to', 'peft');
    expect(refused.stderr).toBe(
      'lora-wasm: loralib.safetensors: a loralib file does not hold alpha, expected the option alpha\n',
    );
    expect((await run('convert', 'loralib.safetensors', 'l', '--to', 'peft', '--alpha', '6')).status).toBe(0);
  });

  test('what cannot be held is named, or left out and listed', async () => {
    const refused = await run('convert', 'extra', 'x', '--to', 'mlx');
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain("'base_model.model.head.weight' (");
    expect(existsSync(join(folder, 'x'))).toBe(false);
    const { status, stdout } = await run('convert', 'extra', 'x', '--to', 'mlx', '--drop-unsupported');
    expect(status).toBe(0);
    expect(stdout).toContain('left out base_model.model.head.weight (');
  });

  test('what is there is replaced only when asked, and never by half', async () => {
    put('there.safetensors', 'mine');
    const refused = await run('convert', 'peft', 'there.safetensors', '--to', 'kohya');
    expect(refused.stderr).toBe(
      'lora-wasm: there.safetensors: is there already, expected another place or --overwrite\n',
    );
    expect(readFileSync(join(folder, 'there.safetensors'), 'utf8')).toBe('mine');
    expect((await run('convert', 'peft', 'there.safetensors', '--to', 'kohya', '--overwrite')).status).toBe(
      0,
    );
    expect(readFileSync(join(folder, 'there.safetensors')).length).toBeGreaterThan(4);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

test('the version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(await run('--version')).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});

test('a format in any case', async () => {
  expect((await run('convert', 'peft', 'case.safetensors', '--to', 'LoraLib')).status).toBe(0);
  expect(existsSync(join(folder, 'case.safetensors'))).toBe(true);
});

test.each(NAMED)('%j says which file, or what to do', async (args, words) => {
  const { status, stderr } = await run(...args);
  expect(status).toBe(1);
  expect(stderr.trimEnd()).toMatch(words);
  expect(existsSync(join(folder, '-'))).toBe(false);
});

test.each(REFUSED)('%j is one line on stderr and exit code 1', async (args, words) => {
  const { status, stderr } = await run(...args);
  expect(status).toBe(1);
  const lines = stderr.split('\n').filter((line) => line.startsWith('lora-wasm: '));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(words);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(existsSync(join(folder, 'y'))).toBe(false);
});
