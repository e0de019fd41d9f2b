/** The demo's options, and where its model is. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';

const NAME = 'SmolLM2-135M-Instruct.Q4_1.gguf';

export interface DemoOptions {
  /** The model's file. */
  readonly model: string;
  /** A file for the results; undefined for none. */
  readonly json: string | undefined;
  readonly out: string | undefined;
  readonly seed: number;
  /** Threads that compute. */
  readonly threads: number | 'auto';
  /** How much is learnt and tested. */
  readonly size: { readonly train: number; readonly test: number; readonly epochs: number };
}

const FULL = { train: 1400, test: 200, epochs: 1 };
const QUICK = { train: 112, test: 20, epochs: 1 };

/** @throws Error where there is no model, saying where to get it */
export function readOptions(argv: readonly string[]): DemoOptions {
  const command = new Command('demo:llm')
    .description(
      'Teaches a small language model to say English words in phonemes, which it cannot, in some minutes.',
    )
    .option('--model <file>', `the model (default: ${NAME} in $MODELS_DIR, else in models/)`)
    .option('--quick', 'fewer words: shows that it works, in a minute or so')
    .option('--out <dir>', 'where the adapter goes (default: a new folder for temporary files)')
    .option('--seed <n>', 'which words, and their order', Number, 0)
    .option('--threads <n>', 'threads that compute (default: one a core)', Number)
    .option('--json <file>', 'also write the results to this file');
  const given = command.parse([...argv]).opts<{
    model?: string;
    quick?: boolean;
    out?: string;
    seed: number;
    threads?: number;
    json?: string;
  }>();
  const folder = process.env.MODELS_DIR;
  const model =
    given.model ?? resolve(folder ? folder : fileURLToPath(new URL('../../models', import.meta.url)), NAME);
  if (!existsSync(model))
    throw new Error(
      `${model} is not there. \`npm run models\` brings it (98 MB) to models/; or name a GGUF file of your own: npm run demo:llm -- --model FILE`,
    );
  if (!Number.isSafeInteger(given.seed) || given.seed < 0)
    throw new Error(`--seed is ${given.seed}, expected a whole number from 0 up`);
  const { threads = 'auto', json, out, seed } = given;
  if (threads !== 'auto' && !(Number.isSafeInteger(threads) && threads >= 1 && threads <= 32))
    throw new Error(`--threads is ${threads}, expected a whole number from 1 to 32`);
  return { model, json, out, seed, threads, size: given.quick ? QUICK : FULL };
}
