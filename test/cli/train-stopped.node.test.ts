/** `lora-wasm train`, built, at Ctrl-C and behind it: it saves where it can, and goes on to the same bytes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MAIN } from './served.js';
import { fast, jsonl, ONE_THREAD, ROWS, trainingFolder } from './training-folder.js';

const { path, run, bytes, train, metrics } = trainingFolder();

/** Ctrl-C again and again from the word on: two that come while a busy machine lets the child wait are one to it. */
function interruptFrom(child: ChildProcess, word: string): void {
  child.stdout!.on('data', (data) => {
    if (!String(data).includes(word)) return;
    child.stdout!.removeAllListeners('data').resume();
    child.kill('SIGINT');
    const timer = setInterval(() => child.kill('SIGINT'), 20);
    child.once('exit', () => clearInterval(timer));
  });
}

/** The exit code. One more Ctrl-C that comes while Node takes itself down kills it: to a shell that is 130 too. */
function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve(signal === 'SIGINT' ? 130 : code));
  });
}

test('at a second Ctrl-C ends at once, with 130, and saves nothing', async () => {
  // A step of some hundred batches, behind each of which a signal is heard.
  writeFileSync(path('long.jsonl'), jsonl(Array.from({ length: 100 }, () => ROWS).flat()));
  const args = '--model tiny --threads 1 --data long.jsonl --out twice --batch-size 1'.split(' ');
  const child = spawn(process.execPath, [MAIN, 'train', ...args, '--grad-accumulation', '700'], {
    cwd: path(),
  });
  interruptFrom(child, 'time ');
  expect(await endOf(child)).toBe(130);
  expect(existsSync(path('twice/checkpoints'))).toBe(false);
});

test('at a second Ctrl-C behind a checkpoint leaves it whole, and goes on from it to the same bytes', async () => {
  const args = [...ONE_THREAD, '--data', 'long.jsonl', '--batch-size', '1'];
  const steps = ['--grad-accumulation', '100', '--save-every', '1', '--lora-dropout', '0.1'];
  await run('train', ...args, ...steps, '--out', 'calm');
  const child = spawn(process.execPath, [MAIN, 'train', ...args, ...steps, '--out', 'hurried'], {
    cwd: path(),
  });
  interruptFrom(child, 'step 3/7');
  expect(await endOf(child)).toBe(130);
  const { status, stdout } = await run('inspect', 'hurried', '--json');
  expect(status).toBe(0);
  expect(JSON.parse(stdout).format).toBe('peft');
  const left = JSON.parse((await run('inspect', 'hurried/checkpoints', '--json')).stdout);
  expect([left.kind, left.end]).toEqual(['checkpoint', null]);
  expect(left.step).toBeGreaterThanOrEqual(2);
  expect(await run('train', ...args, ...steps, '--out', 'hurried', '--resume')).toMatchObject({
    status: 0,
  });
  for (const name of ['adapter_model.safetensors', 'checkpoints/step-00000007/optimizer.safetensors'])
    expect(bytes('hurried', name)).toEqual(bytes('calm', name));
});

test('at Ctrl-C finishes its step, saves, exits with 130, and goes on to the same bytes', async () => {
  const args = [...ONE_THREAD, ...fast, '--epochs', '30', '--save-every', '0'];
  await train(...args.slice(6), '--out', 'straight30');
  const child = spawn(process.execPath, [MAIN, 'train', ...args, '--out', 'stopped'], { cwd: path() });
  let [stdout, stderr] = ['', ''];
  child.stderr.on('data', (data) => (stderr += data));
  child.stdout.on('data', (data) => {
    const before = stdout;
    stdout += data;
    if (!before.includes('step ') && stdout.includes('step ')) child.kill('SIGINT');
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect([code, stderr]).toEqual([130, '']);
  expect(stdout).toMatch(/\nstopped after step \d+ of 120, --resume goes on\n$/);
  expect(readdirSync(path('stopped/checkpoints'))).toHaveLength(1);
  expect(existsSync(path('stopped/adapter_model.safetensors'))).toBe(true);
  expect(await train(...args.slice(6), '--out', 'stopped', '--resume')).toMatchObject({ status: 0 });
  expect(bytes('stopped/adapter_model.safetensors')).toEqual(bytes('straight30/adapter_model.safetensors'));
});

test('where nobody reads any more it saves, says so on standard error, and is no success', async () => {
  const args = [...ONE_THREAD, ...fast, '--epochs', '30', '--save-every', '0'];
  const child = spawn(process.execPath, [MAIN, 'train', ...args, '--out', 'unread'], { cwd: path() });
  let stderr = '';
  child.stderr.on('data', (data) => (stderr += data));
  child.stdout.on('data', (data) => {
    if (String(data).includes('step ')) child.stdout.destroy();
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /^lora-wasm: standard output is closed: stopped after step \d+ of 120, --resume goes on\n$/,
    ),
  ]);
  expect(readdirSync(path('unread/checkpoints'))).toHaveLength(1);
});

describe('a run', () => {
  test('goes on from what a shorter one saved, to the same bytes', async () => {
    const args = [...fast, '--epochs 2 --grad-accumulation 2 --lora-dropout 0.1 --save-every 1'];
    await train(...args, '--out', 'straight', '--keep', '9');
    // As after kill -9 behind step 2: metrics are further than the checkpoint, and the adapter is older.
    cpSync(path('straight'), path('broken'), { recursive: true });
    for (const name of readdirSync(path('broken/checkpoints')).sort().slice(2))
      rmSync(path('broken/checkpoints', name), { recursive: true });
    const { status, stdout } = await train(...args, '--out broken --keep 9 --resume --threads 2');
    expect([status, stdout]).toEqual([0, expect.stringContaining('2 of them done: going on')]);
    for (const name of [
      'adapter_model.safetensors',
      'loss.svg',
      'checkpoints/step-00000004/optimizer.safetensors',
    ])
      expect(bytes('broken', name)).toEqual(bytes('straight', name));
    expect(metrics('broken/metrics.jsonl')).toEqual(metrics('straight/metrics.jsonl'));
  });
});
