/** A round trip through real PEFT, both ways, for every layer kind and option; `peft_side.py` is the other end. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSafetensors, writeSafetensors } from '../../src/formats/index.js';
import { createRuntime, type LoraConfig, LoraModel, type Runtime, type Tensor } from '../../src/index.js';
import { saveAdapter } from '../../src/node.js';
import { Net } from './net.js';

/** Largest difference over the largest output: float32 sums in two orders. */
const BOUND = 1e-4;

/** Prints a line for each adapter and direction; how many do not agree. */
export async function checkPeft(python: string): Promise<number> {
  const configsPath = fileURLToPath(new URL('configs.json', import.meta.url));
  const configs = JSON.parse(readFileSync(configsPath, 'utf8')) as Record<string, unknown>[];
  const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-interop-'));
  const rt = await createRuntime({ kernels: 'simd', seed: 3 });
  let failed = 0;
  const report = (what: string, config: object, difference: number): void => {
    const good = difference <= BOUND;
    if (!good) failed++;
    console.log(
      `${good ? 'ok  ' : 'FAIL'} ${what}: ${difference.toExponential(1)} ${JSON.stringify(config)}`,
    );
  };
  try {
    for (const [index, config] of configs.entries()) await saveOurs(rt, folder, config, index);
    const script = fileURLToPath(new URL('peft_side.py', import.meta.url));
    const run = spawnSync(python, [script, folder, configsPath], { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(`peft_side.py: ${run.stderr}`);
    const lines = run.stdout.split('\n').filter((line) => line.startsWith('{'));
    for (const line of lines) {
      const { case: name, difference } = JSON.parse(line) as { case: string; difference: number };
      report(`PEFT loads ours, ${name}`, configs[Number.parseInt(name, 10)]!, difference);
    }
    for (const [index, config] of configs.entries())
      report(`we load PEFT's, ${index}`, config, await loadTheirs(rt, folder, index));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return failed;
}

/** PEFT's fields as options. */
function optionsOf(config: Record<string, unknown>): LoraConfig {
  const entries = Object.entries(config).map(([key, value]) => [
    key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(entries) as LoraConfig;
}

async function saveOurs(
  runtime: Runtime,
  folder: string,
  config: Record<string, unknown>,
  index: number,
): Promise<void> {
  const net = new Net(runtime);
  const base = writeSafetensors(net.stateDict());
  const lora = LoraModel.attach(net, optionsOf(config));
  for (const parameter of lora.trainableParameters()) {
    const step = runtime.normal(parameter.shape, 0.3).toArray();
    parameter.set([...parameter.toArray()].map((value, i) => value + step[i]!));
  }
  const ids = runtime.tensor(
    Int32Array.from({ length: 30 }, (_, i) => (i * 7 + index) % 9),
    [3, 2, 5],
  );
  const y = runtime.noGrad(() => lora.eval().forward(ids));
  const forms = /pissa|olora/.test(String(config.init_lora_weights)) ? [true, false] : [true];
  for (const convert of forms) {
    const here = join(folder, 'ours', convert ? `${index}` : `${index} unconverted`);
    mkdirSync(here, { recursive: true });
    writeFileSync(join(here, 'base.safetensors'), base);
    writeFileSync(
      join(here, 'io.safetensors'),
      writeSafetensors([
        ['ids', plain(ids)],
        ['y', plain(y)],
      ]),
    );
    await saveAdapter(lora, 'default', join(here, 'adapter'), { convert });
  }
}

async function loadTheirs(runtime: Runtime, folder: string, index: number): Promise<number> {
  const here = join(folder, 'theirs', `${index}`);
  const base = parseSafetensors(new Uint8Array(readFileSync(join(here, 'base.safetensors'))));
  const net = new Net(runtime);
  net.loadStateDict(
    new Map(base.names.map((name) => [name, { shape: base.info(name).shape, data: base.f32(name) }])),
  );
  const lora = LoraModel.attach(net);
  await lora.loadAdapter('theirs', join(here, 'adapter'));
  lora.setAdapter('theirs');
  const io = parseSafetensors(new Uint8Array(readFileSync(join(here, 'io.safetensors'))));
  const ids = runtime.tensor(io.array('ids') as Int32Array, io.info('ids').shape);
  const y = runtime.noGrad(() => lora.eval().forward(ids).toArray());
  const want = io.f32('y');
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return want.reduce((most, value, i) => Math.max(most, Math.abs(value - y[i]!)), 0) / largest;
}

function plain(tensor: Tensor) {
  return { shape: tensor.shape, data: tensor.toArray() };
}
