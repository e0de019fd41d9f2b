/** This side of the language models' round trip: the command as a user runs it, and losses, logits and ids to compare. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRuntime, LoraModel } from '../../../src/index.js';
import { type LanguageModel, loadModel, meanLoss } from '../../../src/models/index.js';
import type { TokenRow } from '../../../src/train/index.js';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** `lora-wasm ...`; what it says on standard output. @throws Error with what it says where it does not end well */
export function command(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`lora-wasm ${args[0]} ended with ${status}: ${stderr.trim()}`);
  return stdout;
}

/** Runs over a model, with an adapter's folder over it or null. */
export async function over<T>(
  model: string,
  adapter: string | null,
  use: (lm: LanguageModel) => T,
): Promise<T> {
  using rt = await createRuntime();
  const lm = await loadModel(rt, model);
  if (adapter === null) return use(lm);
  const lora = LoraModel.attach(lm.model);
  const file = (name: string) => readFileSync(join(adapter, name));
  await lora.loadAdapter('taken', {
    config: file('adapter_config.json').toString(),
    weights: new Uint8Array(file('adapter_model.safetensors')),
  });
  lora.setAdapter('taken');
  lora.eval();
  return use(lm);
}

export const lossOf = (model: string, adapter: string | null, rows: readonly TokenRow[]): Promise<number> =>
  over(model, adapter, (lm) => meanLoss(lm.model, rows).loss);

/** [tokens, vocabulary] */
export function logitsOf(lm: LanguageModel, ids: readonly number[]): Float32Array {
  const { model } = lm;
  const rt = model.runtime;
  return rt.scope(() =>
    rt.noGrad(() =>
      Float32Array.from(model.forward(rt.tensor(Int32Array.from(ids), [1, ids.length])).toArray()),
    ),
  );
}

/** Largest difference over the largest wanted value. */
export function apart(want: Float32Array, got: Float32Array): number {
  if (want.length !== got.length) return Number.POSITIVE_INFINITY;
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0) / largest;
}
