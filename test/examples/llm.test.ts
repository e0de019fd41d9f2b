/** The demo of a language model: its words, how it asks and counts, and all of it over a tiny model of random weights. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dictionary } from 'cmu-pronouncing-dictionary';
import { createRuntime } from 'lora-wasm';
import { generate, loadModel } from 'lora-wasm/models';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answersTo } from '../../examples/llm/answers.js';
import { readOptions } from '../../examples/llm/options.js';
import { answerOf, drawWords, editDistance, promptOf, related, score } from '../../examples/llm/words.js';
import { seededRandom } from '../../examples/mnist/data.js';
import { tinyFiles, tinyTokenizer } from '../support/tiny-golden.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
let folder = '';
const path = (...parts: string[]): string => join(folder, ...parts);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lora-wasm demo '));
  mkdirSync(path('tiny'));
  const texts = {
    'tokenizer.json': tinyTokenizer(),
    'tokenizer_config.json': JSON.stringify({ eos_token: '</s>' }),
  };
  for (const [name, source] of tinyFiles(256, texts))
    writeFileSync(
      path('tiny', name),
      source instanceof Blob ? new Uint8Array(await source.arrayBuffer()) : readFileSync(source as URL),
    );
});
afterAll(() => rmSync(folder, { recursive: true }));

function demo(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'examples/llm/main.ts', ...args],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, ...env } },
  );
  return { status, stdout, stderr };
}

describe('the words', () => {
  const sizes = { train: 1400, test: 200 };
  const { train, valid, test: tested } = drawWords(sizes, seededRandom(0));

  test('are as many as asked for, each once, said as the dictionary says', () => {
    expect([train.length, valid.length, tested.length]).toEqual([1400, 64, 200]);
    const all = [...train, ...valid, ...tested];
    expect(new Set(all.map(({ spelling }) => spelling)).size).toBe(all.length);
    for (const { spelling, phonemes } of all)
      expect(phonemes.join(' ')).toBe(dictionary[spelling]!.replace(/[0-2]/g, ''));
  });

  test('of one list share no stem with those of another, by letters alone', () => {
    for (const [list, others] of [
      [tested, [...train, ...valid]],
      [valid, train],
    ] as const) {
      const beginnings = new Set(others.map(({ spelling }) => spelling.slice(0, 4)));
      for (const { spelling } of list) {
        expect(beginnings.has(spelling.slice(0, 4)), spelling).toBe(false);
        const within = others.filter(
          (other) => other.spelling.includes(spelling) || spelling.includes(other.spelling),
        );
        expect(within, spelling).toEqual([]);
      }
    }
  });

  test('are related by beginning, behind a prefix, and one within the other', () => {
    expect(related('walker', 'walks')).toBe(true);
    expect(related('untie', 'tie')).toBe(true);
    expect(related('rebuild', 'builder')).toBe(true);
    expect(related('cat', 'scatter')).toBe(true);
    expect(related('paint', 'point')).toBe(false);
  });

  test('are drawn by the seed', () => {
    const few = (seed: number) => drawWords({ train: 20, test: 20 }, seededRandom(seed)).test;
    expect(few(0)).toEqual(tested.slice(0, 20));
    expect(few(1)).not.toEqual(few(0));
  });
});

describe('the error rate', () => {
  const word = { spelling: 'cat', phonemes: ['K', 'AE', 'T'] };

  test.each([
    ['K AE T', 0],
    ['K AE', 1],
    ['K AE T S', 1],
    ['K IH T', 1],
    ['AE T K', 2],
    ['the word cat is said', 5],
    ['', 3],
  ])('of %j for K AE T counts %d phonemes', (answer, errors) => {
    const said = answer === '' ? [] : answer.split(' ');
    expect(editDistance(word.phonemes, said)).toBe(errors);
    // No phoneme at all is one wrong one: a text split has one part at least.
    expect(score([word], [answer]).errorRate).toBeCloseTo(errors / 3, 12);
  });

  test('is over the phonemes of all words, and a word is right to the last of them', () => {
    const go = { spelling: 'go', phonemes: ['G', 'OW'] };
    expect(score([word, go], [' K AE T ', ' G'])).toEqual({ right: 0.5, errorRate: 1 / 5 });
  });
});

describe('asking many at a time', () => {
  const words = drawWords({ train: 5, test: 30 }, seededRandom(3)).test;
  const prompts = words.map(promptOf);

  test.each([
    ['each alone', ''],
    ['behind examples that are read once', 'Say a t: AE T\n'],
  ])('gives what the model writes, %s', async (_, before) => {
    using rt = await createRuntime({ kernels: 'simd', threads: 1 });
    const lm = await loadModel(rt, path('tiny'));
    const answers = answersTo(rt, lm, prompts, { maxTokens: 6, before });
    for (const [i, prompt] of prompts.entries()) {
      const ids: number[] = [];
      const asked = lm.tokenizer!.encode(before + prompt);
      for await (const id of generate(lm.model, asked, { maxTokens: 6, stopIds: lm.stopIds })) ids.push(id);
      const whole = lm.tokenizer!.decode(ids.filter((id) => !lm.stopIds.includes(id)));
      expect(answers[i], prompt).toBe(whole.split('\n')[0]);
    }
  });
});

test('over a tiny model the whole of it learns, keeps the base and writes its results', {
  timeout: 600_000,
}, () => {
  const args = ['--quick', '--model', path('tiny'), '--threads', '1', '--seed', '5'];
  const { status, stdout, stderr } = demo([...args, '--json', path('demo.json'), '--out', path('adapter')]);
  expect(status, stdout + stderr).toBe(0);
  const results = JSON.parse(readFileSync(path('demo.json'), 'utf8'));
  expect(results).toMatchObject({
    ...{ seed: 5, words: { train: 112, test: 20 }, steps: 7, threads: 1, baseIsBack: true },
    engine: `Node ${process.versions.node}`,
  });
  expect(results.loss.after).toBeLessThan(results.loss.before);
  expect(results.losses).toHaveLength(7);
  for (const key of ['base', 'fewShot', 'learnt'])
    expect(results[key], key).toEqual({ right: expect.any(Number), errorRate: expect.any(Number) });
  expect(results.bytes.adapter).toBe(readFileSync(path('adapter/adapter_model.safetensors')).length);
  expect(results.bytes.model).toBeGreaterThan(readFileSync(path('tiny/model.safetensors')).length);
  const words = drawWords({ train: 112, test: 20 }, seededRandom(5));
  expect(stdout).toContain(`for instance: ${promptOf(words.train[0]!)}${answerOf(words.train[0]!)}\n`);
  expect(stdout).toContain(`step 7/7, loss ${results.losses[6].toFixed(3)}`);
  expect(stdout).toContain('with the adapter off the base answers as before (20 words): yes');
  expect(stdout).toContain(`PeftModel.from_pretrained(model, ${JSON.stringify(path('adapter'))})`);
});

test('where there is no model it says where to get one, and how to name it', () => {
  const { status, stdout, stderr } = demo([], { MODELS_DIR: path('nowhere') });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(
    /nowhere.*Q4_1\.gguf is not there\. `npm run models` brings it .*npm run demo:llm -- --model FILE\n$/,
  );
});

test.each([
  [['--seed', '-1'], /--seed is -1, expected a whole number/],
  [['--threads', '0'], /--threads is 0, expected a whole number from 1 to 32/],
  [['--threads', 'two'], /--threads is NaN, expected a whole number from 1 to 32/],
])('%j is refused', (args, message) => {
  expect(() => readOptions(['node', 'demo', '--model', path('tiny'), ...args])).toThrow(message);
});

test('the figures of docs/train.md and of the README are those of the kept run', () => {
  const textOf = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
  const run = JSON.parse(textOf('examples/llm/results/2026-11-29-node20.json'));
  const percent = (share: number): string => `${Number((100 * share).toFixed(1))} %`;
  const row = (who: string, { right, errorRate }: { right: number; errorRate: number }): string =>
    `| ${who} | ${percent(right)} | ${(100 * errorRate).toFixed(1)} % |`;
  const page = textOf('docs/train.md');
  for (const figures of [
    row('the base', run.base),
    row('the base, five examples before each word', run.fewShot),
    row('with the adapter', run.learnt),
    `${run.steps} steps over ${run.tokens.toLocaleString('en-US')} tokens in ${(run.seconds / 60).toFixed(1)} minutes, ${run.minutes.toFixed(1)} with both tests`,
    `fell from ${run.loss.before.toFixed(3)} to ${run.loss.after.toFixed(3)}`,
    `${(run.bytes.adapter / 1e6).toFixed(1)} MB`,
  ])
    expect(page).toContain(figures);
  const { right } = run.learnt;
  expect(textOf('README.md')).toContain(
    `after ${Math.floor(run.minutes)} minutes it has [${Math.floor(100 * right)} % of unseen ones right]`,
  );
  expect([run.baseIsBack, run.words.test]).toEqual([true, 200]);
});
