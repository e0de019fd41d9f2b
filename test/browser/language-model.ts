/**
 * Vite plugin of the browser project: `virtual:language-model` says where a page finds the real model and what it answers, or
 * null where one of both is absent; the server hands the file out.
 */
import { createReadStream, statSync } from 'node:fs';
import type { Plugin } from 'vitest/config';
import { goldenJson } from '../golden-support/files.js';
import { HAS_SMOLLM2, MODEL_PATH } from '../golden-support/smollm2.js';

const ID = 'virtual:language-model';
const ADDRESS = '/language-model.gguf';

export function languageModel(): Plugin {
  return {
    name: 'lora-wasm:language-model',
    resolveId: (id) => (id === ID ? `\0${ID}` : null),
    load(id) {
      if (id !== `\0${ID}`) return null;
      if (!HAS_SMOLLM2) return 'export default null;';
      const { greedy_base: golden } = goldenJson<{ greedy_base: { text: string } }>('smollm2/index.json');
      return `export default ${JSON.stringify({ address: ADDRESS, text: golden.text })};`;
    },
    configureServer({ middlewares }) {
      middlewares.use(ADDRESS, (_, response) => {
        response.setHeader('content-length', statSync(MODEL_PATH).size);
        response.setHeader('content-type', 'application/octet-stream');
        createReadStream(MODEL_PATH).pipe(response);
      });
    },
  };
}
