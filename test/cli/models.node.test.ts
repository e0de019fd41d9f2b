/** The built command over language models: what it prints, byte for byte, how it ends, and what it refuses. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/formats/index.js';
import { createRuntime, LoraModel } from '../../src/index.js';
import { generateText, type LanguageModel, meanLoss } from '../../src/models/index.js';
import { goldenJson } from '../golden-support/files.js';
import { HAS_SMOLLM2, MODEL_PATH } from '../golden-support/smollm2.js';
import { loadTiny, tinyAdapter } from '../support/tiny-golden.js';
import { LENGTH, modelsFolder, TEXT, texts } from './models-folder.js';
import { REFUSED } from './refused-models.js';
import { MAIN, started } from './served.js';

const { path, run } = modelsFolder();

/** With options that give the same bits as a runtime in this test. */
const generate = (...args: string[]) =>
  run('generate', '--model', 'tiny', '--kernels', 'simd', '--threads', '1', '--max-tokens', '24', ...args);

/** What a program gets. */
async function expected(run: (lm: LanguageModel) => Promise<string> | string): Promise<string> {
  using rt = await createRuntime({ kernels: 'simd', threads: 1 });
  return await run(await loadTiny(rt, LENGTH, texts));
}

async function joined(parts: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const part of parts) text += part;
  return text;
}

test.each([
  [['generate', '--model', 'tiny', '--prompt', 'Once', '--max-tokens', '3']],
  [['eval', '--model', 'tiny', '--data', 'gone.txt']],
])('%j, started as a user does, says what it says here', async (args) => {
  expect(started(path(), args)).toEqual(await run(...args));
});

describe('generate', () => {
  test('prints the text, a newline, and nothing else', async () => {
    const text = await expected((lm) => joined(generateText(lm, 'Once', { maxTokens: 24 })));
    expect(await generate('--prompt', 'Once')).toEqual({ status: 0, stdout: `${text}\n`, stderr: '' });
  });

  test('answers in a conversation', async () => {
    const messages = [
      { role: 'system', content: 'S' },
      { role: 'user', content: 'Once' },
    ];
    const text = await expected((lm) => joined(generateText(lm, messages, { maxTokens: 24 })));
    expect((await generate('--chat', '--system', 'S', '--prompt', 'Once')).stdout).toBe(`${text}\n`);
  });

  test('draws by the options of sampling, and ends before a stop', async () => {
    const options = { maxTokens: 24, temperature: 1.5, topK: 30, topP: 0.9, repetitionPenalty: 1.2, seed: 5 };
    const text = await expected((lm) => joined(generateText(lm, 'Once', options)));
    const flags = ['--temperature', '1.5', '--top-k', '30', '--top-p', '0.9', '--repetition-penalty', '1.2'];
    const drawn = async (...more: string[]) =>
      (await generate('--prompt', 'Once', ...flags, '--seed', '5', ...more)).stdout;
    expect(await drawn()).toBe(`${text}\n`);
    const stop = text.slice(6, 8);
    expect(await drawn('--stop', 'ÿÿ', '--stop', stop)).toBe(`${text.slice(0, text.indexOf(stop))}\n`);
  });

  test('as JSON gives text, ids, counts and why it ended', async () => {
    const plain = (await generate('--prompt', 'Once')).stdout.slice(0, -1);
    const report = JSON.parse((await generate('--prompt', 'Once', '--json')).stdout);
    expect(report).toMatchObject({ text: plain, tokens: 24, promptTokens: 4, finish: 'length' });
    expect(report.ids).toHaveLength(24);
    const stopped = JSON.parse(
      (await generate('--prompt', 'Once', '--json', '--stop', plain.slice(3, 5))).stdout,
    );
    expect(stopped.finish).toBe('stop');
    const last = ['--max-tokens', String(stopped.tokens), '--stop', plain.slice(3, 5)];
    expect(JSON.parse((await generate('--prompt', 'Once', '--json', ...last)).stdout)).toMatchObject({
      ...{ text: stopped.text, tokens: stopped.tokens, finish: 'stop' },
    });
  });

  test('puts adapters over the model, each at its scale', async () => {
    const text = await expected(async (lm) => {
      const lora = LoraModel.attach(lm.model);
      for (const name of ['a', 'b']) await lora.loadAdapter(name, tinyAdapter());
      lora.setScale('a', 0.5);
      lora.setAdapter(['a', 'b']);
      return joined(generateText(lm, 'Once', { maxTokens: 24 }));
    });
    const plain = (await generate('--prompt', 'Once')).stdout;
    const adapted = await generate('--prompt', 'Once', '--adapter', 'adapter:0.5', '--adapter', 'adapter');
    expect(adapted).toEqual({ status: 0, stdout: `${text}\n`, stderr: '' });
    expect(adapted.stdout).not.toBe(plain);
    expect((await generate('--prompt', 'Once', '--adapter', 'adapter:0')).stdout).toBe(plain);
  });

  test('a scale may begin or end with its point, and a colon be of the name where only that is there', async () => {
    cpSync(path('adapter'), path('run-12:30'), { recursive: true });
    const outputOf = async (...adapters: string[]): Promise<string> => {
      const { status, stdout, stderr } = await generate(
        ...['--prompt', 'Once'],
        ...adapters.flatMap((name) => ['--adapter', name]),
      );
      expect([status, stderr]).toEqual([0, '']);
      return stdout;
    };
    expect(await outputOf('adapter:.5')).toBe(await outputOf('adapter:0.5'));
    expect(await outputOf('adapter:2.')).toBe(await outputOf('adapter:2'));
    expect(await outputOf('run-12:30')).toBe(await outputOf('adapter'));
    expect(await outputOf('run-12:30:0.5')).toBe(await outputOf('adapter:0.5'));
  });

  test('takes a tokenizer from elsewhere', async () => {
    const { status, stdout } = await run(
      'generate',
      '--model',
      'bare',
      '--tokenizer',
      'tokenizer.json',
      '--prompt',
      'Once',
    );
    expect(status).toBe(0);
    expect(stdout.length).toBeGreaterThan(10);
  });

  test('at Ctrl-C ends its line and exits with 130', async () => {
    const args = ['generate', '--model', 'tiny', '--prompt', 'Once', '--max-tokens', '8000'];
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: path() });
    let [stdout, stderr] = ['', ''];
    child.stderr.on('data', (bytes) => (stderr += bytes));
    child.stdout.on('data', (bytes) => {
      if (stdout === '') child.kill('SIGINT');
      stdout += bytes;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect([code, stderr]).toEqual([130, '']);
    expect(stdout).toMatch(/\n$/);
  });

  test('ends quietly where nobody reads', async () => {
    const args = ['generate', '--model', 'tiny', '--prompt', 'Once', '--max-tokens', '8000'];
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: path() });
    let stderr = '';
    child.stderr.on('data', (bytes) => (stderr += bytes));
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect([code, stderr]).toEqual([0, '']);
  });

  test.skipIf(!HAS_SMOLLM2)('answers with the real model what transformers answers', async () => {
    const { greedy_base: golden } = goldenJson<{ greedy_base: { text: string } }>('smollm2/index.json');
    const args = ['--chat', '--max-tokens', '32', '--prompt', 'What colour is the sky?'];
    const found = await run('generate', '--model', MODEL_PATH, ...args);
    expect(found).toEqual({ status: 0, stdout: `${golden.text}\n`, stderr: '' });
  });
});

describe('eval', () => {
  const evaluate = (...args: string[]) =>
    run('eval', '--model', 'tiny', '--kernels', 'simd', '--threads', '1', ...args);

  test('gives the mean loss of a text', async () => {
    const line = await expected((lm) => {
      const { loss, tokens, perplexity } = meanLoss(lm.model, [lm.tokenizer!.encode(TEXT)]);
      return `loss ${loss.toFixed(5)}, perplexity ${perplexity.toPrecision(6)}, ${tokens} tokens\n`;
    });
    expect(await evaluate('--data', 'text.txt')).toEqual({ status: 0, stdout: line, stderr: '' });
  });

  test('in pieces, the first token of each not counted', async () => {
    const report = JSON.parse((await evaluate('--data', 'text.txt', '--length', '10', '--json')).stdout);
    const pieces = Math.ceil(TEXT.length / 10);
    expect(report).toMatchObject({ rows: pieces, tokens: TEXT.length - pieces });
    expect(report.perplexity).toBeCloseTo(Math.exp(report.loss), 10);
  });

  test('of rows of JSONL counts what counts in training', async () => {
    const rows = [TEXT, 'u:Hi|a:Ho|', 'abcd'];
    const counted = [TEXT.length, 'a:Ho|'.length, 'cd'.length];
    const loss = await expected((lm) => {
      const labelled = rows.map((text, i) => {
        const ids = lm.tokenizer!.encode(text);
        return { ids, labels: ids.map((id, at) => (at < ids.length - counted[i]! ? -100 : id)) };
      });
      return String(meanLoss(lm.model, labelled).loss);
    });
    const report = JSON.parse((await evaluate('--data', 'rows.jsonl', '--json')).stdout);
    expect(report).toMatchObject({ rows: 3, tokens: TEXT.length - 1 + 5 + 2 });
    expect(report.loss).toBeCloseTo(Number(loss), 6);
  });

  test('with an adapter', async () => {
    const lossOf = async (...more: string[]): Promise<number> =>
      JSON.parse((await evaluate('--data', 'text.txt', '--json', ...more)).stdout).loss;
    const [plain, adapted] = [await lossOf(), await lossOf('--adapter', 'adapter')];
    expect(Math.abs(plain - adapted)).toBeGreaterThan(1e-3);
  });
});

describe('refused, in one line, with exit code 1, is', () => {
  test.each(REFUSED)('%s', async (_, args, message) => {
    writeFileSync(path('empty.txt'), '');
    mkdirSync(path('other'), { recursive: true });
    const half = (shape: number[]) => ({ shape, data: new Float32Array(5) });
    const prefix = 'base_model.model.model.layers.0.self_attn.q_proj';
    const factors = { A: half([1, 5]), B: half([5, 1]) };
    writeFileSync(
      path('other/adapter_model.safetensors'),
      writeSafetensors(
        Object.entries(factors).map(([name, tensor]) => [`${prefix}.lora_${name}.weight`, tensor] as const),
      ),
    );
    writeFileSync(
      path('other/adapter_config.json'),
      JSON.stringify({ peft_type: 'LORA', r: 1, lora_alpha: 1, target_modules: ['q_proj'] }),
    );
    const { status, stdout, stderr } = await run(...args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^lora-wasm: [^\n]+\n$/);
    expect([status, stdout]).toEqual([1, '']);
  });
});

test('help shows examples, on standard output', async () => {
  for (const name of ['generate', 'eval']) {
    const { status, stdout } = await run(name, '--help');
    expect(status).toBe(0);
    expect(stdout).toContain(`lora-wasm ${name} --model model.gguf`);
  }
});
