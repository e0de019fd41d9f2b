/** Injection scenarios of language models: loading, reading with and without a cache, writing, and losses. */
import { LoraModel, type Runtime, type Tensor } from '../../../src/index.js';
import {
  type CausalLM,
  causalLoss,
  generate,
  type KvCache,
  loadModel,
  meanLoss,
} from '../../../src/models/index.js';
import { folderFor, tinyGguf } from '../tiny-model.js';
import type { Scenario } from './scenario.js';

const FILES = folderFor({ num_hidden_layers: 1, attention_bias: true });
const modelOn = async (rt: Runtime): Promise<CausalLM> => (await loadModel(rt, FILES)).model;
const idsOn = (rt: Runtime, ids: readonly number[]): Tensor =>
  rt.tensor(Int32Array.from(ids), [1, ids.length]);

/** What shows of a cache. */
const lengthOf = (cache: KvCache): object => ({
  get tokens() {
    return cache.length;
  },
});

/** A call over a model and ids. */
function onModel(
  name: string,
  covers: readonly string[],
  run: (model: CausalLM, ids: Tensor) => unknown,
): Scenario {
  return {
    ...{ title: name, covers },
    async build(rt) {
      const model = await modelOn(rt);
      const ids = idsOn(rt, [3, 1, 4, 1, 5]);
      return { holders: [model, ids], run: () => run(model, ids) };
    },
  };
}

export const MODELS: readonly Scenario[] = [
  ...(['folder', 'GGUF file'] as const).map(
    (kind): Scenario => ({
      title: `loadModel of a ${kind}`,
      covers: ['loadModel', 'CausalLM'],
      build: (rt) => ({
        holders: [],
        run: () => loadModel(rt, kind === 'folder' ? FILES : new Blob([tinyGguf()]), { maxLength: 16 }),
      }),
    }),
  ),
  onModel('CausalLM.forward', ['CausalLM.forward'], (model, ids) => model.forward(ids)),
  onModel('CausalLM.hidden of packed rows', ['CausalLM.hidden'], (model, ids) =>
    model.hidden(ids, new Int32Array([0, 0, 2, 2, 2]), new Int32Array([0, 1, 0, 1, 2])),
  ),
  onModel('CausalLM.cache', ['CausalLM.cache', 'KvCache'], (model) => {
    const { batch, capacity, length } = model.cache(7, 2);
    return [batch, capacity, length];
  }),
  onModel('meanLoss', ['meanLoss'], (model) =>
    meanLoss(model, [[3, 1, 4, 1], { ids: [5, 9, 2], labels: [-100, 9, 2] }]),
  ),
  onModel('generate', ['generate'], async (model) => {
    const found: number[] = [];
    for await (const id of generate(model, [3, 1, 4], { maxTokens: 3 })) found.push(id);
    return found;
  }),
  {
    title: 'CausalLM.decode',
    covers: ['CausalLM.decode'],
    async build(rt) {
      const model = await modelOn(rt);
      const cache = model.cache(9);
      rt.scope(() => model.decode(idsOn(rt, [3, 1, 4]), cache));
      const ids = idsOn(rt, [1, 5]);
      return { holders: [model, ids, lengthOf(cache)], run: () => model.decode(ids, cache) };
    },
  },
  {
    title: 'causalLoss and its gradients under an adapter',
    covers: ['causalLoss'],
    async build(rt) {
      const model = await modelOn(rt);
      const lora = LoraModel.attach(model, { r: 2, targetModules: 'all-linear' });
      const ids = idsOn(rt, [3, 1, 4, 1, 5]);
      const run = (): unknown =>
        rt.scope(() => {
          const { sum } = causalLoss(model, ids, new Int32Array([-100, 1, 4, 1, 5]));
          sum.backward();
          return sum.item();
        });
      return { holders: [lora, ids], run };
    },
  },
];
