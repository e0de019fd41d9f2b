/**
 * A round trip through real PEFT, both ways: fixed configurations, and all options combined at random; `peft_side.py` is the
 * other end. What one side refuses the other refuses too, but for what docs/peft.md lists.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { parseSafetensors, writeSafetensors } from '../../src/formats/index.js';
import {
  AdapterError,
  createRuntime,
  LoraModel,
  mseLoss,
  type Runtime,
  SGD,
  type Tensor,
} from '../../src/index.js';
import { saveAdapter } from '../../src/node.js';
import { idsFor, Net, optionsOf, type PeftFields, peftFields } from '../support/random-adapters.js';
import { type Outcome, Tally } from './tally.js';

/** What each side says of a case: how far the outputs are apart, or why it was refused. */
interface Said {
  readonly case: number;
  readonly what: 'made' | 'loaded' | 'loaded unconverted';
  readonly difference?: number;
  readonly refused?: string;
}

/** Prints what does not agree, and counts; how many cases do not agree. */
export async function checkPeft(python: string, random: number, seed: number): Promise<number> {
  const configsPath = fileURLToPath(new URL('configs.json', import.meta.url));
  const fixed = JSON.parse(readFileSync(configsPath, 'utf8')) as PeftFields[];
  const cases = [...fixed, ...fc.sample(peftFields, { numRuns: random, seed })];
  const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-interop-'));
  try {
    return await roundTrips(python, folder, cases);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function roundTrips(python: string, folder: string, cases: readonly PeftFields[]): Promise<number> {
  const rt = await createRuntime({ kernels: 'simd', seed: 3 });
  const tally = new Tally(cases);
  const ours = new Map<number, string | null>();
  for (const [index, fields] of cases.entries())
    ours.set(index, await refusal(() => saveOurs(rt, folder, fields, index)));
  writeFileSync(join(folder, 'cases.json'), JSON.stringify(cases));
  const script = fileURLToPath(new URL('peft_side.py', import.meta.url));
  const run = spawnSync(python, [script, folder], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (run.status !== 0) throw new Error(`peft_side.py: ${run.stderr}`);
  const said = run.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Said);
  for (const index of cases.keys()) {
    const theirs = said.filter((line) => line.case === index);
    for (const { what, ...outcome } of theirs)
      if (what !== 'made') tally.add(index, `PEFT, ${what}`, outcome);
    const made = theirs.find(({ what }) => what === 'made');
    const refused = made?.refused ?? null;
    tally.compareRefusals(index, ours.get(index) ?? null, refused);
    if (refused === null) tally.add(index, 'here, loaded', await loadTheirs(rt, folder, index));
  }
  return tally.print();
}

/** What an attempt was refused with, or null. */
async function refusal(attempt: () => Promise<void>): Promise<string | null> {
  try {
    await attempt();
    return null;
  } catch (error) {
    if (error instanceof Error) return `${error.name}: ${error.message}`;
    throw error;
  }
}

/** An adapter that was trained here, for PEFT. */
async function saveOurs(rt: Runtime, folder: string, fields: PeftFields, index: number): Promise<void> {
  const net = new Net(rt);
  const base = writeSafetensors(net.stateDict());
  const lora = LoraModel.attach(net, optionsOf(fields));
  const ids = idsFor(rt, index).keep();
  train(rt, lora, ids);
  const y = rt.noGrad(() => lora.eval().forward(ids)).keep();
  const unconverted = /^(?:pissa|olora)$/i.test(String(fields.init_lora_weights));
  for (const form of unconverted ? ['loaded', 'loaded unconverted'] : ['loaded']) {
    const here = join(folder, 'ours', form, `${index}`);
    mkdirSync(here, { recursive: true });
    writeFileSync(join(here, 'base.safetensors'), base);
    const io = [['ids', plain(ids)] as const, ['y', plain(y)] as const];
    writeFileSync(join(here, 'io.safetensors'), writeSafetensors(io));
    const refused = await refusal(() =>
      saveAdapter(lora, 'default', join(here, 'adapter'), { convert: form === 'loaded' }).then(() => {}),
    );
    if (refused !== null) rmSync(here, { recursive: true });
    if (refused !== null && !/has no form of PEFT's/.test(refused)) throw new AdapterError(refused);
  }
  lora.dispose();
}

/** Two steps with dropout, and a push that no parameter is left out of. */
function train(rt: Runtime, lora: LoraModel, ids: Tensor): void {
  const optimizer = new SGD(lora.trainableParameters(), { lr: 0.05 });
  lora.train();
  for (let step = 0; step < 2; step++)
    rt.scope(() => {
      optimizer.zeroGrad();
      mseLoss(lora.forward(ids), rt.full([3, 3], 1)).backward();
      optimizer.step();
    });
  for (const parameter of lora.trainableParameters()) {
    const push = rt.scope(() => rt.normal(parameter.shape, 0.3).toArray());
    parameter.set(Float32Array.from(parameter.toArray(), (value, i) => value + push[i]!));
  }
}

async function loadTheirs(rt: Runtime, folder: string, index: number): Promise<Outcome> {
  const here = join(folder, 'theirs', `${index}`);
  const base = parseSafetensors(new Uint8Array(readFileSync(join(here, 'base.safetensors'))));
  const net = new Net(rt);
  net.loadStateDict(
    new Map(base.names.map((name) => [name, { shape: base.info(name).shape, data: base.f32(name) }])),
  );
  const lora = LoraModel.attach(net);
  const source = join(here, 'adapter');
  try {
    // Entries that match nothing are an error here and none in PEFT.
    const strict = await refusal(async () => void (await lora.loadAdapter('theirs', source)));
    if (strict !== null && !/matches no (?:layer|module)/.test(strict)) return { refused: strict };
    if (strict !== null) await lora.loadAdapter('theirs', source, { strict: false });
    lora.setAdapter('theirs');
    const io = parseSafetensors(new Uint8Array(readFileSync(join(here, 'io.safetensors'))));
    const ids = rt.tensor(io.array('ids') as Int32Array, io.info('ids').shape);
    const y = rt.noGrad(() => lora.eval().forward(ids).toArray());
    return { difference: apart(io.f32('y'), y) };
  } catch (error) {
    if (error instanceof Error) return { refused: `${error.name}: ${error.message}` };
    throw error;
  } finally {
    lora.dispose();
  }
}

/** Largest difference over the largest wanted value. */
function apart(want: Float32Array, got: ArrayLike<number>): number {
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0) / largest;
}

function plain(tensor: Tensor) {
  return { shape: tensor.shape, data: tensor.toArray() };
}
