/** Adapters over a language model: which layers 'all-linear' means, what is exported, and reading on with a cache under each of them. */
import { expect, test } from 'vitest';
import { Linear, LoraModel, Module, type Runtime, type Tensor } from '../../src/index.js';
import { type CausalLM, loadModel } from '../../src/models/index.js';
import { chain } from '../support/chain.js';
import { describeRuntimes } from '../support/runtimes.js';
import { folderFor, tinyFolder } from '../support/tiny-model.js';

/** Adapters that change something: B drawn, not zero. */
function attach(rt: Runtime, model: CausalLM, names: readonly string[]): LoraModel<CausalLM> {
  const lora = LoraModel.attach(model, { r: 3, targetModules: 'all-linear' }, names[0]);
  for (const name of names.slice(1)) lora.addAdapter(name, { r: 2, targetModules: 'all-linear' });
  let seed = 1;
  for (const [name, parameter] of lora.namedParameters())
    if (name.includes('lora_B'))
      parameter.set(
        rt.scope(() => Float32Array.from(rt.normal(parameter.shape, 0.1 * (1 + (seed++ % 3))).toArray())),
      );
  return lora;
}

const IDS = [5, 9, 3, 17, 30, 8, 8, 1, 12, 4];

const whole = (rt: Runtime, model: CausalLM, ids: readonly number[]): Float32Array =>
  rt.scope(() => {
    const logits = rt.noGrad(() => model.forward(rt.tensor(Int32Array.from(ids), [1, ids.length])));
    const all = logits.toArray();
    return all.slice(all.length - logits.shape[2]!) as Float32Array;
  });

/** The last logits, read in pieces. */
function inPieces(
  rt: Runtime,
  model: CausalLM,
  ids: readonly number[],
  sizes: readonly number[],
): Float32Array {
  using cache = model.cache(ids.length);
  let last: Float32Array = new Float32Array(0);
  let at = 0;
  for (const size of sizes) {
    const piece = Int32Array.from(ids.slice(at, at + size));
    last = rt.scope(() => model.decode(rt.tensor(piece, [1, size]), cache).toArray() as Float32Array);
    at += size;
  }
  return last;
}

/** Sums of the same products in another order: some 1e-6 of the largest at these sizes. One row reads quantised blocks as they lie. */
function expectClose(got: Float32Array, want: Float32Array): void {
  const most = Math.max(...want.map(Math.abs));
  expect(Math.max(...got.map((value, i) => Math.abs(value - want[i]!)))).toBeLessThan(1e-5 * most);
}

/** Weights that cached decoding is held over; of the quantised ones the rows are whole blocks. */
const WEIGHTS = ['stored', 'q8_0', 'q4_0'] as const;
const loadAs = (rt: Runtime, weights: (typeof WEIGHTS)[number]) =>
  loadModel(rt, folderFor({ hidden_size: 64, intermediate_size: 96 }), { weights });

describeRuntimes('adapters over a language model', (rt) => {
  test('all-linear leaves the head out, tied or not', async () => {
    for (const tied of [true, false]) {
      using loaded = await loadModel(rt(), folderFor({ tie_word_embeddings: tied }));
      using lora = LoraModel.attach(loaded.model, { r: 2, targetModules: 'all-linear' });
      const layers = [...Array(2).keys()].flatMap((i) =>
        ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj']
          .concat(['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'])
          .map((name) => `model.layers.${i}.${name}`),
      );
      expect(lora.report().wrapped).toEqual(layers);
      // r (in + out) of each layer.
      expect(lora.summary().trainable).toBe(2 * 2 * (2 * 64 + 2 * 48 + 3 * 80));
      lora.addAdapter('head', { r: 2, targetModules: ['lm_head'] });
      lora.addAdapter('again', { r: 2, targetModules: 'all-linear' });
      expect(lora.layer('lm_head').adapters).toEqual(['head']);
    }
  });

  test('what a model of a user names as its head is left out, wherever the model stands', () => {
    class Speaker extends Module {
      readonly body = new Linear(rt(), 4, 4);
      readonly head = new Linear(rt(), 4, 9);
      override get outputEmbeddings(): Module {
        return this.head;
      }
      override forward(x: Tensor): Tensor {
        return this.head.forward(this.body.forward(x));
      }
    }
    for (const [model, expected] of [
      [new Speaker(), ['body']],
      [chain({ speaker: new Speaker() }), ['speaker.body']],
    ] as const) {
      using lora = LoraModel.attach(model, { r: 2, targetModules: 'all-linear' });
      expect(lora.report().wrapped).toEqual(expected);
    }
  });

  test.each(WEIGHTS)(
    'cached decoding over %s follows the active adapters, their scale and merging',
    async (weights) => {
      using loaded = await loadAs(rt(), weights);
      const { model } = loaded;
      using lora = attach(rt(), model, ['one', 'two']);
      const base = lora.withAdaptersDisabled(() => whole(rt(), model, IDS));
      const seen = [base];
      const states = [
        () => lora.setAdapter('one'),
        () => lora.setAdapter('two'),
        () => lora.setAdapter(['one', 'two']),
        () => lora.setScale('one', 0.25),
        () => lora.merge(undefined, { quantised: 'dequantise' }),
      ];
      for (const [i, enter] of states.entries()) {
        enter();
        const want = whole(rt(), model, IDS);
        expectClose(inPieces(rt(), model, IDS, [4, 1, 3, 1, 1]), want);
        const other = seen.find((before) => largestDifference(before, want) < 1e-2);
        // Merging changes nothing but rounding; every other state is another model.
        if (i < 4) expect(other).toBeUndefined();
        else expectClose(want, seen.at(-1)!);
        seen.push(want);
      }
      lora.unmerge();
      expectClose(
        lora.withAdaptersDisabled(() => inPieces(rt(), model, IDS, [5, 5])),
        base,
      );
    },
  );

  test.each(WEIGHTS)(
    'rows over %s with adapters of their own read on with a cache as each would alone',
    async (weights) => {
      using loaded = await loadAs(rt(), weights);
      const { model } = loaded;
      using lora = attach(rt(), model, ['one', 'two']);
      lora.setAdapter('one');
      const rows = [IDS, [...IDS].reverse(), IDS.map((id) => (id + 7) % 40)];
      const names = ['two', 'one', '__base__'] as const;
      const alone = rows.map((ids, i) => {
        if (names[i] === '__base__') return lora.withAdaptersDisabled(() => whole(rt(), model, ids));
        lora.setAdapter(names[i]!);
        return whole(rt(), model, ids);
      });
      using cache = model.cache(IDS.length, rows.length);
      let last = new Float32Array(0);
      for (const [begin, end] of [
        [0, 6],
        [6, 7],
        [7, 10],
      ] as const) {
        const piece = Int32Array.from(rows.flatMap((ids) => ids.slice(begin, end)));
        last = rt().scope(() => {
          const ids = rt().tensor(piece, [rows.length, end - begin]);
          return lora
            .withAdapterNames(names, () => model.decode(ids, cache))
            .toArray() as Float32Array<ArrayBuffer>;
        });
      }
      const width = last.length / rows.length;
      alone.forEach((want, i) => {
        expectClose(last.slice(i * width, (i + 1) * width), want);
      });
    },
  );

  test('an export names the task and the base where they are given, and keeps what was loaded', async () => {
    using loaded = await loadModel(rt(), tinyFolder());
    using lora = attach(rt(), loaded.model, ['default']);
    const fieldsOf = (bytes: Uint8Array): unknown => {
      const { task_type, base_model_name_or_path } = JSON.parse(new TextDecoder().decode(bytes));
      return [task_type, base_model_name_or_path];
    };
    const plain = lora.exportAdapter('default');
    expect(fieldsOf(plain['adapter_config.json'])).toEqual([null, null]);
    const given = lora.exportAdapter('default', { taskType: 'CAUSAL_LM', baseModelNameOrPath: 'org/base' });
    expect(fieldsOf(given['adapter_config.json'])).toEqual(['CAUSAL_LM', 'org/base']);
    await lora.loadAdapter('back', {
      config: new TextDecoder().decode(given['adapter_config.json']),
      weights: given['adapter_model.safetensors'],
    });
    expect(fieldsOf(lora.exportAdapter('back')['adapter_config.json'])).toEqual(['CAUSAL_LM', 'org/base']);
    const changed = lora.exportAdapter('back', { taskType: null, baseModelNameOrPath: 'other' });
    expect(fieldsOf(changed['adapter_config.json'])).toEqual([null, 'other']);
    expect(() => lora.exportAdapter('back', { taskType: 'CHAT' })).toThrow(
      "LoraModel.exportAdapter: taskType is 'CHAT', expected null or one of SEQ_CLS",
    );
  });
});

const largestDifference = (a: Float32Array, b: Float32Array): number =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
