/**
 * The real model and its golden values, which are not in git: the file is looked for in `MODELS_DIR`, else in `models/`; the
 * values in `GOLDEN_DIR`, else in `test/golden/smollm2`. Where either is absent the tests are skipped, visibly; a golden file
 * that is missing in a folder that is there is a failure.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = (asked: string | undefined, own: string): string =>
  asked === undefined || asked === '' ? fileURLToPath(new URL(own, import.meta.url)) : resolve(asked);

/** Where the model's file is, if it is there. */
export const MODEL_PATH = resolve(
  folder(process.env.MODELS_DIR, '../../models'),
  'SmolLM2-135M-Instruct.Q4_1.gguf',
);
export const MODEL_URL: URL = pathToFileURL(MODEL_PATH);
export const HAS_MODEL = existsSync(MODEL_PATH);

/** Whether both the model and its golden values are there. */
export const HAS_SMOLLM2 =
  HAS_MODEL && existsSync(resolve(folder(process.env.GOLDEN_DIR, '../golden'), 'smollm2'));
