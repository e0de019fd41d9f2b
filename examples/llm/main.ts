/**
 * A real job: a language model of 135 million parameters learns to say English words in phonemes, which it cannot, in some
 * minutes on a CPU. It is asked for words that share no stem with those that it learnt, before and after.
 */
import { mkdir, mkdtemp, readdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import { AdamW, createRuntime, LoraModel } from 'lora-wasm';
import { causalLoss, loadModel } from 'lora-wasm/models';
import { saveAdapter } from 'lora-wasm/node';
import { joinRows, parseRows, type TokenRow, Trainer } from 'lora-wasm/train';
import { seededRandom } from '../mnist/data.js';
import { answersTo } from './answers.js';
import { type DemoOptions, readOptions } from './options.js';
import { answerOf, drawWords, promptOf, type Score, score, type Word } from './words.js';

const [R, ALPHA, LR, BATCH] = [16, 32, 2e-3, 16];
/** More than any of the words takes. */
const MAX_TOKENS = 16;
const SHOWN = 6;
/** Words that the base is asked for again with the adapter off. */
const BACK = 20;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const shown = ({ right, errorRate }: Score): string =>
  `${percent(right)} of words right, phoneme error rate ${percent(errorRate)}`;

function heading(n: number, text: string): void {
  console.log(`\n${n}. ${text}`);
}

/** A bar on a terminal, a few lines elsewhere. */
function progress(total: number): { step(done: number, loss: number, speed: number): void; end(): void } {
  const format = '   {bar} {value}/{total} | loss {loss} | {speed} tokens/s | {eta_formatted} left';
  const bar = process.stdout.isTTY
    ? new SingleBar({ format, hideCursor: true }, Presets.shades_classic)
    : null;
  bar?.start(total, 0, { loss: '-', speed: '-' });
  return {
    step(done, loss, speed) {
      const told = { loss: loss.toFixed(3), speed: speed.toFixed(0) };
      if (bar !== null) bar.update(done, told);
      else if (done % Math.ceil(total / 10) === 0 || done === total)
        console.log(`   step ${done}/${total}, loss ${told.loss}, ${told.speed} tokens/s`);
    },
    end: () => bar?.stop(),
  };
}

/** Of a file, or of the files in a folder. */
async function bytesOf(path: string): Promise<number> {
  const found = await stat(path);
  if (!found.isDirectory()) return found.size;
  const sizes = (await readdir(path)).map(async (name) => (await stat(join(path, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

async function main(options: DemoOptions): Promise<void> {
  const started = performance.now();
  using rt = await createRuntime({ seed: options.seed, threads: options.threads });
  const { kernels, threads } = rt.info();
  console.log(
    `lora-wasm on Node ${process.versions.node}, kernels ${kernels}, ${threads} thread(s), seed ${options.seed}`,
  );

  heading(1, 'The model and the words');
  const lm = await loadModel(rt, options.model);
  const words = drawWords(options.size, seededRandom(options.seed));
  console.log(
    `${options.model}: ${(rt.memory().held / 1e6).toFixed(0)} MB in memory\n${words.train.length} words to learn, ${words.valid.length} to measure the loss on, ${words.test.length} to be tested on, no stem in two of the lists`,
  );
  const rows = (list: readonly Word[]): TokenRow[] =>
    parseRows(
      list.map((word) => JSON.stringify({ prompt: promptOf(word), completion: answerOf(word) })).join('\n'),
      {
        tokenizer: lm.tokenizer!,
      },
    );
  console.log(`for instance: ${promptOf(words.train[0]!)}${answerOf(words.train[0]!)}`);

  heading(2, 'What the model makes of words that it will not learn');
  const prompts = words.test.map(promptOf);
  const ask = (asked: readonly string[], before = ''): string[] =>
    answersTo(rt, lm, asked, { maxTokens: MAX_TOKENS, before });
  const base = ask(prompts);
  const before = score(words.test, base);
  const examples = words.train.slice(0, 5).map((word) => `${promptOf(word)}${answerOf(word)}\n`);
  const told = score(words.test, ask(prompts, examples.join('')));
  for (const [i, prompt] of prompts.slice(0, SHOWN).entries())
    console.log(`   ${prompt}${base[i]!.slice(0, 50)}   (${words.test[i]!.phonemes.join(' ')})`);
  console.log(`as it is: ${shown(before)}\nwith five examples before each word: ${shown(told)}`);

  heading(3, `Train: r ${R}, alpha ${ALPHA}, all linear layers, ${BATCH} words a step, rate ${LR}`);
  const lora = LoraModel.attach(lm.model, { r: R, loraAlpha: ALPHA, targetModules: 'all-linear' });
  const [train, valid] = [rows(words.train), rows(words.valid)];
  let tokens = 0;
  const source = (list: readonly TokenRow[]) => ({
    ...{ rows: list.length, batchSize: BATCH },
    batch: (wanted: readonly number[]) => joinRows(wanted.map((row) => list[row]!)),
  });
  const trainer = new Trainer(lora, source(train), {
    loss: ({ ids, labels, starts, positions }) => {
      tokens += ids.length;
      return causalLoss(lm.model, rt.tensor(ids, [1, ids.length]), labels, { starts, positions });
    },
    optimizer: new AdamW(lora.trainableParameters(), { lr: LR, weightDecay: 0 }),
    ...{ schedule: 'cosine', warmup: 5, clipNorm: 1, epochs: options.size.epochs, seed: options.seed },
    evaluate: source(valid),
  });
  const lossBefore = await trainer.evaluate();
  console.log(`loss on ${valid.length} other words before: ${lossBefore.toFixed(3)}`);
  const bar = progress(trainer.steps);
  const begun = performance.now();
  tokens = 0;
  const losses: number[] = [];
  for await (const event of trainer.run()) {
    if (event.type !== 'step') continue;
    bar.step(event.step, event.loss, tokens / ((performance.now() - begun) / 1000));
    losses.push(event.loss);
  }
  bar.end();
  const seconds = (performance.now() - begun) / 1000;
  const lossAfter = trainer.history.evaluations.at(-1)!.value;
  console.log(
    `${trainer.steps} steps, ${tokens.toLocaleString('en-US')} tokens in ${seconds.toFixed(0)} s; loss on other words ${lossBefore.toFixed(3)} -> ${lossAfter.toFixed(3)}`,
  );

  heading(4, 'The same words again');
  lora.eval();
  const after = ask(prompts);
  const learnt = score(words.test, after);
  for (const [i, word] of words.test.slice(0, SHOWN).entries())
    console.log(`   ${word.spelling}: ${after[i]!.trim()}   (${word.phonemes.join(' ')})`);
  console.log(`before: ${shown(before)}\nwith five examples: ${shown(told)}\nafter: ${shown(learnt)}`);

  heading(5, 'The adapter, and the base behind it');
  const folder = options.out ?? (await mkdtemp(join(tmpdir(), 'lora-wasm-llm-')));
  await mkdir(folder, { recursive: true });
  const [weights] = await saveAdapter(lora, undefined, folder, { taskType: 'CAUSAL_LM' });
  const bytes = { model: await bytesOf(options.model), adapter: (await stat(weights!)).size };
  const off = lora.withAdaptersDisabled(() => ask(prompts.slice(0, BACK)));
  const same = off.every((text, i) => text === base[i]);
  console.log(
    `${folder}: ${(bytes.adapter / 1e6).toFixed(1)} MB beside a model of ${(bytes.model / 1e6).toFixed(1)} MB\nwith the adapter off the base answers as before (${off.length} words): ${same ? 'yes' : 'NO'}`,
  );
  console.log(`in PEFT: PeftModel.from_pretrained(model, ${JSON.stringify(folder)})`);
  console.log(
    `here: npx lora-wasm generate --model ${options.model} --adapter ${folder} --prompt "Say w o r d:"`,
  );

  const minutes = (performance.now() - started) / 60_000;
  if (options.json !== undefined) {
    const results = {
      ...{
        seed: options.seed,
        words: { train: words.train.length, test: words.test.length },
        steps: trainer.steps,
      },
      ...{
        tokens,
        seconds,
        loss: { before: lossBefore, after: lossAfter },
        base: before,
        fewShot: told,
        learnt,
      },
      ...{
        minutes,
        bytes,
        baseIsBack: same,
        kernels,
        threads,
        engine: `Node ${process.versions.node}`,
        losses,
      },
    };
    await writeFile(options.json, `${JSON.stringify(results, null, 2)}\n`);
  }
  console.log(`\ndone in ${minutes.toFixed(1)} minutes`);
  if (!same || !(lossAfter < lossBefore)) process.exitCode = 1;
}

try {
  await main(readOptions(process.argv));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
