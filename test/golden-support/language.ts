/**
 * The cases of `gguf/` and `tiny/`: whole language models, loaded from GGUF files and from folders of transformers, against the
 * logits, losses and greedy tokens that transformers and PEFT compute. `make_quant_golden.py` and `make_tiny_models.py` in the
 * golden folder say what each tensor is.
 */
import { readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { crossEntropy, LoraModel, type Runtime, type Tensor } from 'lora-wasm';
import { type CausalLM, type LanguageModel, loadModel } from 'lora-wasm/models';
import { expect } from 'vitest';
import { loadOpened } from '../../src/models/load-model.js';
import { openModel } from '../../src/models/source/open-model.js';
import { roundHalf } from '../../src/values/halves.js';
import { expectTensor, expectWithin, largest } from './compare.js';
import { type GoldenTensor, goldenBytes, goldenJson, goldenPath, goldenTensors, pick } from './files.js';
import { expectGreedy } from './greedy.js';

/** Logits, as a part of the largest; cached decoding against the whole forward too. */
const LOGITS = 1e-4;
/** Mean losses, absolute. */
const MEAN_LOSS = 2e-5;

/** A folder's files, as `loadModel` takes them. */
export function folderOf(path: string): Map<string, URL> {
  const folder = goldenPath(path);
  return new Map(readdirSync(folder).map((name) => [name, pathToFileURL(`${folder}/${name}`)]));
}

const fileOf = (path: string): URL => pathToFileURL(goldenPath(path));

/** Logits of the GGUF file of that type; of `hf`, those of the same model in a folder, which are `f32`'s. */
export async function checkGgufCase(rt: Runtime, label: string): Promise<void> {
  const io = goldenTensors('gguf/io.safetensors');
  const load = (name: string): Promise<LanguageModel> =>
    loadModel(rt, name === 'hf' ? folderOf('gguf/hf') : fileOf(`gguf/${name}.gguf`));
  const ids = pick(io, 'ids');
  using loaded = await load(label);
  const logits = rt.scope(() => logitsOf(rt, loaded.model, ids).toArray());
  const want = pick(io, `logits_${label === 'hf' ? 'f32' : label}`);
  expectWithin('logits', logits, want.data, () => LOGITS * largest(want.data));
  checkDecoding(rt, loaded.model, ids);
  if (label !== 'hf') return;
  using other = await load('f32');
  const same = rt.scope(() => logitsOf(rt, other.model, ids).toArray());
  expect(new Int32Array(logits.buffer), 'bits over gguf/f32.gguf').toEqual(new Int32Array(same.buffer));
}

interface TinyCase {
  readonly greedy: readonly number[];
}

/** Logits, loss and cached decoding, without and with PEFT's adapter, and what is written next. */
export async function checkTinyCase(rt: Runtime, name: string): Promise<void> {
  const io = goldenTensors(`tiny/${name}/io.safetensors`);
  const { greedy } = goldenJson<TinyCase>(`tiny/${name}/case.json`);
  const ids = pick(io, 'ids');
  using loaded = await loadTiny(rt, name);
  const { model } = loaded;
  checkLogits(rt, model, io, '');
  checkDecoding(rt, model, ids);

  using lora = LoraModel.attach(model);
  await lora.loadAdapter('default', {
    config: goldenJson<Record<string, unknown>>(`tiny/${name}/adapter/adapter_config.json`),
    weights: goldenBytes(`tiny/${name}/adapter/adapter_model.safetensors`),
  });
  lora.setAdapter('default');
  checkLogits(rt, model, io, 'adapted_');
  checkDecoding(rt, model, ids);
  await expectGreedy(loaded, rowOf(ids, 0), greedy);
}

/**
 * The model of a tiny case. Where the golden model's type has 16 bits, PyTorch rounded the frequencies of its rotary positions to
 * that type with everything else; a model that is loaded has exact ones, in transformers too. So those of the case are asked for.
 */
export async function loadTiny(rt: Runtime, name: string): Promise<LanguageModel> {
  const folder = folderOf(`tiny/${name}/model`);
  const { dtype } = goldenJson<{ dtype: string }>(`tiny/${name}/model/config.json`);
  const half = { bfloat16: 'bf16', float16: 'f16' }[dtype];
  if (half !== 'bf16' && half !== 'f16') return loadModel(rt, folder);
  const source = await openModel('golden', folder);
  const { rope, headDim } = source.config;
  const factors = Float32Array.from({ length: headDim / 2 }, (_, j) => {
    const exact = Math.fround(rope.theta ** ((-2 * j) / headDim));
    return exact / roundHalf(half, exact);
  });
  return loadOpened(
    'golden',
    rt,
    { ...source, config: { ...source.config, rope: { ...rope, factors } } },
    {},
  );
}

function checkLogits(
  rt: Runtime,
  model: CausalLM,
  io: ReadonlyMap<string, GoldenTensor>,
  kind: string,
): void {
  rt.scope(() => {
    const logits = logitsOf(rt, model, pick(io, 'ids'));
    expectTensor(`${kind}logits`, logits, pick(io, `${kind}logits`), LOGITS);
    const labels = pick(io, 'labels');
    const [B, T] = labels.shape as [number, number];
    const next = labels.data.map((_, i) => ((i + 1) % T === 0 ? -100 : labels.data[i + 1]!));
    const loss = crossEntropy(logits, rt.tensor(next, [B, T], { dtype: 'i32' }));
    expectWithin(`${kind}loss`, [loss.item()], pick(io, `${kind}loss`).data, () => MEAN_LOSS);
  });
}

function logitsOf(rt: Runtime, model: CausalLM, ids: GoldenTensor): Tensor {
  return rt.noGrad(() => model.forward(rt.tensor(ids.data, ids.shape)));
}

const rowOf = ({ data, shape }: GoldenTensor, row: number): number[] =>
  Array.from(data.subarray(row * shape[1]!, (row + 1) * shape[1]!));

/** The last logits after every number of tokens, read into a cache in pieces, are those of the whole rows. */
function checkDecoding(rt: Runtime, model: CausalLM, ids: GoldenTensor): void {
  const [B, T] = ids.shape as [number, number];
  const all = rt.scope(() => logitsOf(rt, model, ids).toArray());
  const vocab = all.length / (B * T);
  using cache = model.cache(T, B);
  for (const [begin, end] of [[0, T - 5], ...Array.from({ length: 5 }, (_, i) => [T - 5 + i, T - 4 + i])] as [
    number,
    number,
  ][]) {
    const piece = Array.from({ length: B }, (_, b) => rowOf(ids, b).slice(begin, end)).flat();
    const got = rt.scope(() =>
      model.decode(rt.tensor(Int32Array.from(piece), [B, end - begin]), cache).toArray(),
    );
    const want = Array.from({ length: B }, (_, b) => {
      const at = (b * T + end - 1) * vocab;
      return [...all.subarray(at, at + vocab)];
    }).flat();
    expectWithin(`decoded up to ${end}`, got, want, () => LOGITS * largest(all));
  }
  expect(cache.length, 'tokens in the cache').toBe(T);
}
