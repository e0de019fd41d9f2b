/** `lora-wasm train`, built: a run's errors and warnings in the words of the command. */
import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fast, trainingFolder } from './training-folder.js';

const { path, bytes, train } = trainingFolder();

test('names a damaged checkpoint by its folder, and goes on without it', async () => {
  const options = [...fast, '--r', '4', '--lora-dropout', '0.1', '--save-every', '1'];
  await train(...options, '--out', 'whole');
  cpSync(path('whole'), path('harmed'), { recursive: true });
  const at = path('harmed/checkpoints/step-00000004');
  writeFileSync(join(at, 'optimizer.safetensors'), '');
  const args = [...options, '--out', 'harmed', '--resume'];
  const { status, stderr } = await train(...args);
  expect([status, stderr.replaceAll('\\', '/')]).toEqual([
    1,
    'lora-wasm: harmed/checkpoints/step-00000004: optimizer.safetensors is damaged, expected it as it was saved; without this folder --resume goes on from an older one, or begins\n',
  ]);
  rmSync(at, { recursive: true });
  expect(await train(...args)).toMatchObject({ status: 0 });
  expect(bytes('harmed/adapter_model.safetensors')).toEqual(bytes('whole/adapter_model.safetensors'));
});

test('names steps and options where the numbers overflow, and where no rate moves anything', async () => {
  const wild = await train(...fast.with(3, '1000000'), '--out', 'wild', '--clip-norm', '0');
  expect(wild.stderr).toMatch(
    /^lora-wasm: step \d: the .*\(a lower learning rate or --clip-norm may help\)\n$/,
  );
  expect([wild.status, existsSync(path('wild/adapter_model.safetensors'))]).toEqual([1, false]);
  const { status, stderr } = await train(...fast.with(3, '0'), '--out', 'still', '--steps', '1');
  expect([status, stderr]).toEqual([0, 'warning: step 1: every learning rate is 0, nothing is learnt\n']);
});
