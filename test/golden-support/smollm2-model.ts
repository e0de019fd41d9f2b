/**
 * The cases of `smollm2/` that compute: the model's hidden states, logits and losses over two passages, alone and under PEFT's
 * adapter. `make_smollm2_golden.py` in the golden folder says what each tensor is. They run once, on the best build.
 */
import { createRuntime, crossEntropy, LoraModel, type Runtime, type Tensor } from 'lora-wasm';
import { type CausalLM, loadModel } from 'lora-wasm/models';
import { expect } from 'vitest';
import { expectTensor, expectWithin } from './compare.js';
import { type GoldenFile, goldenBytes, goldenJson, goldenTensors, pick } from './files.js';
import { MODEL_URL } from './smollm2.js';

/** Hidden states: ‖difference‖/‖wanted‖ of each row. */
const HIDDEN = 1e-4;
/** Log-sum-exp and losses of single tokens, absolute; the mean of the losses. */
const TOKEN = 1e-3;
const MEAN = 2e-5;

interface Index {
  readonly loss_base: number;
  readonly loss_adapted: number;
}

/** The same on one runtime and one loaded model, both gone at the end. */
async function withModel(check: (rt: Runtime, model: CausalLM) => void | Promise<void>): Promise<void> {
  const rt = await createRuntime();
  try {
    using loaded = await loadModel(rt, MODEL_URL);
    await check(rt, loaded.model);
  } finally {
    rt.dispose();
  }
}

export const checkForward = (): Promise<void> =>
  withModel((rt, model) => {
    const file = goldenTensors('smollm2/forward.safetensors');
    const blocks = [...file.keys()].flatMap((key) => /^hidden_(\d+)$/.exec(key)?.[1] ?? []).map(Number);
    expect(blocks.length).toBeGreaterThan(0);
    const seen = watchBlocks(model, blocks);
    checkPassages(rt, model, file, file, goldenJson<Index>('smollm2/index.json').loss_base);
    expect([...seen.keys()].sort()).toEqual([...blocks].sort());
    for (const [i, got] of seen) expectRows(`hidden_${i}`, got, file);
  });

export const checkAdapted = (): Promise<void> =>
  withModel(async (rt, model) => {
    using lora = LoraModel.attach(model);
    const report = await lora.loadAdapter('default', {
      config: goldenJson<Record<string, unknown>>('smollm2/adapter/adapter_config.json'),
      weights: goldenBytes('smollm2/adapter/adapter_model.safetensors'),
    });
    expect(report).toMatchObject({ missing: [], unexpected: [] });
    lora.setAdapter('default');
    const adapted = goldenTensors('smollm2/adapted.safetensors');
    const { ids } = Object.fromEntries(goldenTensors('smollm2/forward.safetensors'));
    const { loss_adapted: loss } = goldenJson<Index>('smollm2/index.json');
    checkPassages(rt, model, adapted, new Map([['ids', ids!]]), loss);

    lora.addAdapter('all', { r: 8, targetModules: 'all-linear' });
    const all = lora.report().adapters.find(({ name }) => name === 'all')!;
    expect(all.parameters, 'parameters of all linear layers').toBe(2_442_240);
    expect(all.layers, 'linear layers').toHaveLength(210);
  });

/** Logits of the last tokens, log-sum-exp and loss of every one. */
function checkPassages(
  rt: Runtime,
  model: CausalLM,
  want: GoldenFile,
  inputs: GoldenFile,
  meanLoss: number,
): void {
  const ids = pick(inputs, 'ids');
  const [B, T] = ids.shape as [number, number];
  rt.scope(() => {
    const hidden = rt.noGrad(() => model.hidden(rt.tensor(ids.data, ids.shape)));
    if (want.has('hidden_final')) expectRows('hidden_final', hidden.toArray(), want);
    const logits = rt.noGrad(() => model.lm_head.forward(hidden));
    const all = logits.toArray();
    const vocab = all.length / (B * T);
    const row = (b: number, t: number) => all.subarray((b * T + t) * vocab, (b * T + t + 1) * vocab);
    const last = Float32Array.from(Array.from({ length: B }, (_, b) => [...row(b, T - 1)]).flat());
    expectTensor('logits_last', rt.tensor(last, [B, vocab]), pick(want, 'logits_last'));
    const sums = Array.from({ length: B * T }, (_, i) => logSumExp(row(Math.floor(i / T), i % T)));
    expectWithin('logsumexp', sums, pick(want, 'logsumexp').data, () => TOKEN);
    const losses = lossesOf(rt, logits, ids.data, [B, T]);
    expectWithin('token_loss', losses, pick(want, 'token_loss').data, () => TOKEN);
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    expectWithin('mean loss', [mean], [meanLoss], () => MEAN);
  });
}

/** Loss of every token but the first of each row. */
function lossesOf(rt: Runtime, logits: Tensor, ids: ArrayLike<number>, [B, T]: [number, number]): number[] {
  const next = Int32Array.from(ids, (_, i) => ((i + 1) % T === 0 ? -100 : ids[i + 1]!));
  const losses = crossEntropy(logits, rt.tensor(next, [B, T]), { reduction: 'none' }).toArray();
  return [...losses].filter((_, i) => (i + 1) % T !== 0);
}

function logSumExp(values: Float32Array | Int32Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) most = Math.max(most, value);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - most);
  return most + Math.log(sum);
}

/** What the blocks of these numbers read, once the model has run. */
function watchBlocks(model: CausalLM, blocks: readonly number[]): Map<number, ArrayLike<number>> {
  const seen = new Map<number, ArrayLike<number>>();
  for (const i of blocks) {
    const layer = model.model.layers[i]!;
    const { forward } = layer;
    layer.forward = (x, run) => {
      seen.set(i, x.toArray());
      return forward.call(layer, x, run);
    };
  }
  return seen;
}

/** Every row within HIDDEN of its length. */
function expectRows(name: string, got: ArrayLike<number>, file: GoldenFile): void {
  const { data, shape } = pick(file, name);
  const width = shape.at(-1)!;
  expect(got.length, name).toBe(data.length);
  const off: number[] = [];
  for (let row = 0; row < data.length / width; row++) {
    let [difference, size] = [0, 0];
    for (let i = row * width; i < (row + 1) * width; i++) {
      difference += (got[i]! - data[i]!) ** 2;
      size += data[i]! ** 2;
    }
    off.push(Math.sqrt(difference / size));
  }
  expectWithin(
    `${name}: rows`,
    off,
    off.map(() => 0),
    () => HIDDEN,
  );
}
