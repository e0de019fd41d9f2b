/** `lora-wasm train`, built: what it writes, and what it refuses before a step. */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AdamW, createRuntime, LoraModel } from '../../src/index.js';
import { causalLoss, meanLoss } from '../../src/models/index.js';
import { joinRows, parseRows, Trainer } from '../../src/train/index.js';
import { loadTiny } from '../support/tiny-golden.js';
import { REFUSED } from './refused-training.js';
import { fast, jsonl, LENGTH, ROWS, texts, trainingFolder, VALID } from './training-folder.js';

const { path, run, bytes, train, metrics } = trainingFolder();

describe('a run', () => {
  test('ends in the adapter that the same training has in a program', async () => {
    const { status, stderr, stdout } = await train(...fast, '--out whole --r 4 --lora-dropout 0.1');
    expect([status, stderr]).toEqual([0, '']);
    using rt = await createRuntime({ kernels: 'simd', threads: 1, seed: 0 });
    const lm = await loadTiny(rt, LENGTH, texts);
    const parse = (rows: readonly object[]) =>
      parseRows(jsonl(rows), { tokenizer: lm.tokenizer!, chat: lm.chat });
    const lora = LoraModel.attach(lm.model, {
      r: 4,
      loraAlpha: 16,
      loraDropout: 0.1,
      targetModules: 'all-linear',
    });
    const rows = parse(ROWS);
    const trainer = new Trainer(
      lora,
      { rows: 7, batchSize: 2, batch: (wanted) => joinRows(wanted.map((row) => rows[row]!)) },
      {
        loss: ({ ids, labels, starts, positions }) =>
          causalLoss(lm.model, rt.tensor(ids, [1, ids.length]), labels, { starts, positions }),
        optimizer: new AdamW(lora.trainableParameters(), { lr: 0.01, weightDecay: 0 }),
        ...{ schedule: 'cosine', warmup: 1, clipNorm: 1, seed: 0 },
      },
    );
    for await (const _ of trainer.run());
    expect(bytes('whole/adapter_model.safetensors')).toEqual(
      Buffer.from(lora.exportAdapter()['adapter_model.safetensors']),
    );
    const { loss } = meanLoss(lm.model, parse(VALID));
    const found = metrics('whole/metrics.jsonl');
    expect(found.map((line) => Object.values(line).slice(0, 2).join(' '))).toEqual([
      ...['eval 0', 'step 1', 'step 2', 'step 3', 'step 4', 'eval 4'],
    ]);
    expect(found.at(-1)).toMatchObject({ loss: expect.closeTo(loss, 4) });
    expect(stdout).toContain('step 4/4, loss ');
    expect(stdout).toMatch(/adapter {3}r 4, alpha 16, over \d+ layers: [\d,]+ parameters train/);
    expect(stdout).toMatch(/memory {4}about \d+ [kM]B at most/);
    expect(stdout).toMatch(/time {6}about \d+ s \(\d+ tokens\/s on 1 thread, kernels simd\)/);
    expect(readFileSync(path('whole/loss.svg'), 'utf8')).toMatch(
      /^<svg [\s\S]*Loss over 4 steps and 2 evaluations/,
    );
    expect(JSON.parse(bytes('whole/adapter_config.json').toString())).toMatchObject({
      ...{
        r: 4,
        lora_alpha: 16,
        task_type: 'CAUSAL_LM',
        base_model_name_or_path: 'tiny',
        inference_mode: true,
      },
    });
  });

  test.each([
    ['before the first step', 0, []],
    ['of the adapter behind the last one', -1, ['--adapter', 'whole']],
  ])('measures the loss that eval gives for the same rows, %s', async (_, place, more) => {
    const args = ['--model', 'tiny', '--kernels', 'simd', '--threads', '1', '--data', 'data/valid.jsonl'];
    const { status, stdout } = await run('eval', ...args, ...more, '--json');
    const [line, measured] = [metrics('whole/metrics.jsonl').at(place)!, JSON.parse(stdout)];
    const counted = VALID.map(({ messages }) => messages[1]!.content.length + ';'.length);
    expect([status, measured.rows]).toEqual([0, VALID.length]);
    expect(measured.tokens).toBe(counted.reduce((sum, count) => sum + count));
    // One sequence of all rows in training, a row at a time here: what packing may change.
    expect(line).toEqual({ type: 'eval', step: place === 0 ? 0 : 4, loss: expect.closeTo(measured.loss, 5) });
  });

  test('on a finished run ends at once and touches nothing', async () => {
    const args = [...fast, '--out', 'whole', '--r', '4', '--lora-dropout', '0.1', '--resume'];
    const before = files('whole');
    const { status, stdout } = await train(...args);
    expect([status, stdout]).toEqual([0, expect.stringContaining('was done already: 4 steps')]);
    expect(files('whole')).toEqual(before);
  });

  test('ends with how to ask: in a conversation where it learnt one, else by the prompt alone', async () => {
    expect((await train(...fast, '--out', 'asked', '--steps', '1')).stdout).toMatch(
      /--adapter asked --chat --prompt \.\.\.\n$/,
    );
    writeFileSync(path('plain.jsonl'), jsonl([{ prompt: 'one', completion: 'eno' }]));
    const { stdout } = await train('--data', 'plain.jsonl', '--out', 'plain', '--steps', '1');
    expect(stdout).toMatch(/--adapter plain --prompt \.\.\.\n$/);
  });

  test('leaves a checkpoint that inspect tells of: step, losses, what it goes with, adapter', async () => {
    const at = 'whole/checkpoints/step-00000004';
    const { status, stdout, stderr } = await run('inspect', at, '--json');
    expect([status, stderr]).toEqual([0, '']);
    const report = JSON.parse(stdout);
    const lines = metrics('whole/metrics.jsonl') as { type: string; loss: number; tokens: number }[];
    const steps = lines.filter(({ type }) => type === 'step');
    expect(report).toMatchObject({
      ...{ kind: 'checkpoint', step: 4, steps: 4, end: 'finished' },
      counted: steps.reduce((sum, { tokens }) => sum + tokens, 0),
      loss: { first: steps[0]!.loss, last: steps[3]!.loss },
      evaluations: [{ step: 4, value: lines.at(-1)!.loss, best: true }],
      best: { step: 4, value: lines.at(-1)!.loss },
      goesWith: { kernels: 'simd', options: { batchSize: 2, tags: { '--r': 4, '--lora-dropout': 0.1 } } },
      files: { 'optimizer.safetensors': bytes(at, 'optimizer.safetensors').length },
      adapters: { '': { format: 'peft', ranks: [4], alphas: [16] } },
    });
    const table = (await run('inspect', at)).stdout;
    // The folder of all checkpoints tells of the newest.
    expect((await run('inspect', 'whole/checkpoints')).stdout).toBe(table);
    // The folder of the whole run tells of its adapter, and where the rest is.
    const whole = (await run('inspect', 'whole')).stdout;
    expect(whole).toMatch(/^peft adapter, \d+ layers/);
    expect(whole).toMatch(
      /\ncheckpoint of step 4 of 4, loss [\d.]+ to [\d.]+, evaluation [\d.]+: lora-wasm inspect whole.checkpoints.step-00000004\n$/,
    );
    cpSync(path('whole/checkpoints'), path('unfinished/checkpoints'), { recursive: true });
    const unfinished = (await run('inspect', 'unfinished')).stdout;
    expect(unfinished).toBe(table);
    expect(table).toContain(
      `checkpoint of step 4 of 4, done; ${report.counted} examples or tokens counted\n`,
    );
    expect(table).toContain(`goes with lora-wasm ${report.goesWith.version}, kernels simd, model `);
    expect(table).toMatch(/--r 4, .*\n[\s\S]*peft adapter, \d+ layers/);
  });

  test.each<[string, (at: string) => void, RegExp]>([
    [
      'without its state',
      (at) => rmSync(join(at, 'trainer.json')),
      /: there is no trainer\.json, expected it among .*optimizer\.safetensors/,
    ],
    [
      'with a state that was cut',
      (at) => writeFileSync(join(at, 'trainer.json'), '{"hash":"0"'),
      /: trainer\.json is damaged, expected it as trainer\.save wrote it/,
    ],
    [
      'without its moments',
      (at) => rmSync(join(at, 'optimizer.safetensors')),
      /: there is no optimizer\.safetensors/,
    ],
    ['that is none', (at) => rmSync(at, { recursive: true }), /half: there is no such file or folder/],
  ])('leaves one that inspect refuses %s', async (_, harm, message) => {
    rmSync(path('half'), { recursive: true, force: true });
    cpSync(path('whole/checkpoints/step-00000004'), path('half'), { recursive: true });
    harm(path('half'));
    const { status, stdout, stderr } = await run('inspect', 'half');
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^lora-wasm: half[^\n]*\n$/);
    expect(stderr).toMatch(message);
  });

  test('with --json prints one object, and the lines to standard error', async () => {
    const { stdout, stderr } = await train(...fast, '--out json --json --steps 3 --metrics m/x.jsonl');
    expect(JSON.parse(stdout)).toMatchObject({ reason: 'finished', steps: 3, adapter: 'json' });
    expect(stderr).toContain('step 3/3');
    expect(metrics('m/x.jsonl')).toHaveLength(5);
  });

  test('adapts the last blocks, or these, with packed rows, DoRA and LoRA+', async () => {
    const config = (name: string) => JSON.parse(bytes(name, 'adapter_config.json').toString());
    const more = '--packing --max-seq-length 40 --use-dora --lora-plus-ratio 4 --grad-checkpoint';
    expect(await train(...fast, more, '--out last --layers 1')).toMatchObject({ status: 0 });
    const blocks = config('last').layers_to_transform;
    expect(blocks).toHaveLength(1);
    expect(config('last')).toMatchObject({ use_dora: true });
    const { rates } = JSON.parse((await run('inspect', 'last/checkpoints', '--json')).stdout);
    expect(rates).toHaveLength(2);
    expect(Math.max(...rates) / Math.min(...rates)).toBeCloseTo(4, 12);
    expect(await train(...fast, '--out first --layers 0, --target-modules q_proj')).toMatchObject({
      status: 1,
    });
    expect(await train(...fast, '--out first --layers 0,0 --target-modules q_proj')).toMatchObject({
      status: 0,
    });
    expect(config('first')).toMatchObject({ layers_to_transform: [0], target_modules: ['q_proj'] });
  });

  test('measures a share of the rows and learns the others, and ends early with the best', async () => {
    const args = '--data data/train.jsonl --valid-split 0.3 --lr 0.5 --batch-size 1';
    const { stdout } = await train(args, '--out split --epochs 9 --eval-every 2 --early-stop 2 --json');
    const { reason, validation, steps } = JSON.parse(stdout);
    expect(reason).toBe('early-stop');
    expect(steps).toBe(validation.best.step + 4);
    const before = files('split');
    const again = await train(args, '--out split --epochs 9 --eval-every 2 --early-stop 2 --resume');
    expect([again.status, again.stdout]).toEqual([0, expect.stringMatching(/^was done already: \d+ steps/)]);
    expect(files('split')).toEqual(before);
  });
});

/** Every file under a folder with its time of change. */
function files(name: string): string[] {
  return readdirSync(path(name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.name} ${statSync(join(entry.parentPath, entry.name)).mtimeMs}`)
    .sort();
}

describe('refused, in one line, before a step, is', () => {
  test.each(REFUSED)('%s', async (_, args, message) => {
    writeFileSync(path('broken.jsonl'), `${jsonl(ROWS.slice(0, 1))}{"text"\n`);
    writeFileSync(path('latin1.jsonl'), Buffer.from('{"text":"a"}\n{"text":"caf\u00e9"}\n', 'latin1'));
    const { status, stderr } = await train(...args);
    expect(
      stderr
        .split('\n')
        .filter((line) => !line.startsWith('warning: '))
        .join('\n'),
    ).toMatch(message);
    expect([status, stderr.trim().split('\n').length]).toEqual([1, 1]);
  });
});
