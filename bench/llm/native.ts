/** Native PyTorch with PEFT over the same file and from the same adapter on, in a Python of its own (`native.py`). Node only. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPython } from '../core/python.js';
import { type Native, SETTINGS, type StartNative } from './step.js';

/** Milliseconds without work behind a step: its threads look for more that long. */
const SETTLE_MS = 100;

/** @param python - a Python that has torch, peft, transformers and gguf @param model - a GGUF file */
export const nativeOf =
  (python: string, model: string): StartNative =>
  async (threads, files, ids): Promise<Native> => {
    const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-adapter-'));
    try {
      for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
      const script = new URL('./native.py', import.meta.url);
      const args = [model, folder, String(threads)];
      const { hello, ask, close } = await startPython<{ version: string; threads: number }>(
        python,
        script,
        args,
      );
      await ask({ ask: 'prepare', ids: [...ids], settings: SETTINGS });
      return {
        ...hello,
        step: async () => {
          const stepped = (await ask({ ask: 'step' })) as Awaited<ReturnType<Native['step']>>;
          await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
          return stepped;
        },
        resident: async () => (await ask({ ask: 'resident' })) as number | null,
        close,
      };
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
