/**
 * How language models learn: losses and the gradients of every adapter tensor against PEFT's (`tiny/<arch>`, `smollm2/`), with blocks
 * that are computed again in backward at the same bits, rows packed into one sequence, and AdamW's steps with clipping.
 */
import { AdamW, clipGradNorm, LoraModel, type Runtime, scale, type Tensor } from 'lora-wasm';
import { type CausalLM, type CausalLossOptions, causalLoss, loadModel } from 'lora-wasm/models';
import { expect } from 'vitest';
import { expectWithin, largest } from './compare.js';
import { type GoldenTensor, goldenBytes, goldenJson, goldenTensors, group, pick } from './files.js';
import { loadTiny } from './language.js';
import { MODEL_URL } from './smollm2.js';
import { expectGreedyText, type Greedy } from './smollm2-greedy.js';

/** Gradients, as a part of a tensor's largest. */
const GRADIENT = 1e-4;
/** Loss and norm of the adapted model, relative. */
const LOSS = 1e-4;
/** What packing may change: rows of attention and products of another size. */
const PACKED = 1e-5;

/** An adapter as PEFT saved it, trained from there on. */
async function adapt(model: CausalLM, folder: string): Promise<LoraModel<CausalLM>> {
  const lora = LoraModel.attach(model);
  await lora.loadAdapter(
    'default',
    {
      config: goldenJson<Record<string, unknown>>(`${folder}/adapter_config.json`),
      weights: goldenBytes(`${folder}/adapter_model.safetensors`),
    },
    { trainable: true },
  );
  lora.setAdapter('default');
  return lora;
}

/** The adapter's tensors by PEFT's keys. */
function tensorsOf(lora: LoraModel<CausalLM>): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const name of lora.report().wrapped) {
    const { A, B } = lora.layer(name).factors('default');
    found.set(`base_model.model.${name}.lora_A.weight`, A);
    found.set(`base_model.model.${name}.lora_B.weight`, B);
  }
  return found;
}

interface Batch extends CausalLossOptions {
  readonly ids: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly shape: readonly number[];
}

interface Step {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array | Int32Array>;
}

/** Mean loss over a batch, and its gradients from nothing. */
function stepOf(rt: Runtime, lora: LoraModel<CausalLM>, model: CausalLM, batch: Batch): Step {
  const { ids, labels, shape, ...options } = batch;
  const tensors = tensorsOf(lora);
  for (const tensor of tensors.values()) tensor.grad = null;
  const loss = rt.scope(() => {
    const own = rt.tensor(Int32Array.from(ids), shape);
    const { sum, count } = causalLoss(model, own, Int32Array.from(labels), options);
    const mean = scale(sum, 1 / count);
    mean.backward();
    return mean.item();
  });
  return { loss, gradients: new Map([...tensors].map(([key, { grad }]) => [key, grad!.toArray()])) };
}

/** The same rows one behind the other in one sequence. */
function packed({ ids, labels, shape }: Batch): Batch {
  const [B, T] = shape as [number, number];
  const place = Array.from({ length: B * T }, (_, i) => i);
  return {
    ...{ ids, labels, shape: [1, B * T] },
    starts: Int32Array.from(place, (i) => i - (i % T)),
    positions: Int32Array.from(place, (i) => i % T),
  };
}

function expectGradients(got: Step['gradients'], want: ReadonlyMap<string, GoldenTensor>): void {
  for (const [key, { data }] of want) {
    const own = got.get(key);
    if (own === undefined) throw new Error(`there is no gradient of ${key}`);
    expectWithin(`gradient of ${key}`, own, data, () => GRADIENT * largest(data));
  }
}

export async function checkTinyGradients(rt: Runtime, name: string): Promise<void> {
  const io = goldenTensors(`tiny/${name}/io.safetensors`);
  using loaded = await loadTiny(rt, name);
  const { model } = loaded;
  using lora = await adapt(model, `tiny/${name}/adapter`);
  const { data: ids, shape } = pick(io, 'ids');
  const batch: Batch = { ids, shape, labels: pick(io, 'labels').data };
  const step = stepOf(rt, lora, model, batch);
  const want = group(io, 'grad.');
  expect([...step.gradients.keys()].sort(), 'gradients').toEqual([...want.keys()].sort());
  expectWithin(
    'loss',
    [step.loss],
    pick(io, 'adapted_loss').data,
    (i) => LOSS * pick(io, 'adapted_loss').data[i]!,
  );
  expectGradients(step.gradients, want);

  model.gradientCheckpointing = true;
  expect(stepOf(rt, lora, model, batch), 'blocks computed again').toEqual(step);
  model.gradientCheckpointing = false;

  const together = stepOf(rt, lora, model, packed(batch));
  expectWithin('loss of packed rows', [together.loss], [step.loss], () => PACKED);
  for (const [key, own] of step.gradients)
    expectWithin(
      `packed: gradient of ${key}`,
      together.gradients.get(key)!,
      own,
      () => PACKED * Math.max(1, largest(own)),
    );
}

interface Index {
  readonly loss_adapted: number;
  readonly grad_norm_adapted: number;
  readonly train: {
    readonly settings: {
      readonly lr: number;
      readonly betas: readonly [number, number];
      readonly eps: number;
      readonly weight_decay: number;
      readonly clip_norm: number;
    };
    readonly losses: readonly number[];
    readonly grad_norms_before_clipping: readonly number[];
  };
  readonly greedy_trained: Greedy;
}

export async function checkSmolGradients(rt: Runtime): Promise<void> {
  const want = goldenJson<Index>('smollm2/index.json');
  using loaded = await loadModel(rt, MODEL_URL);
  const { model } = loaded;
  using lora = await adapt(model, 'smollm2/adapter');
  const { data: ids, shape } = pick(goldenTensors('smollm2/forward.safetensors'), 'ids');
  const batch: Batch = { ids, labels: ids, shape };
  const step = stepOf(rt, lora, model, batch);
  expectWithin('loss', [step.loss], [want.loss_adapted], () => LOSS * want.loss_adapted);
  let squares = 0;
  for (const gradient of step.gradients.values()) for (const v of gradient) squares += v * v;
  const norm = want.grad_norm_adapted;
  expectWithin('norm of the gradient', [Math.sqrt(squares)], [norm], () => LOSS * norm);
  expectGradients(step.gradients, group(goldenTensors('smollm2/adapted.safetensors'), 'grad.'));

  model.gradientCheckpointing = true;
  const again = stepOf(rt, lora, model, batch);
  expect(again.loss, 'loss, blocks computed again').toBe(step.loss);
  for (const [key, own] of step.gradients)
    expect(again.gradients.get(key), `blocks computed again: gradient of ${key}`).toEqual(own);
}

/** What a step over 256 tokens holds at once beside the model: with blocks computed again in backward less than 40 MB, else 280. */
export async function checkSmolMemory(rt: Runtime): Promise<void> {
  using loaded = await loadModel(rt, MODEL_URL);
  const { model } = loaded;
  using lora = LoraModel.attach(model, { r: 8, targetModules: 'all-linear' });
  const ids = Int32Array.from({ length: 256 }, (_, i) => 5 + ((i * 97) % 40_000));
  const peakOf = (again: boolean): number => {
    model.gradientCheckpointing = again;
    rt.resetPeakMemory();
    const before = rt.memory().held;
    stepOf(rt, lora, model, { ids, labels: ids, shape: [1, ids.length] });
    return rt.memory().peak - before;
  };
  const [plain, again] = [peakOf(false), peakOf(true)];
  expect(plain).toBeGreaterThan(200e6);
  expect(plain).toBeLessThan(290e6);
  expect(again).toBeLessThan(40e6);
}

/** AdamW with clipping over the same batch, from an adapter whose B is zero; behind the last golden step, what the model writes. */
export async function checkSmolTraining(rt: Runtime, steps: number): Promise<void> {
  const { train, greedy_trained: greedy } = goldenJson<Index>('smollm2/index.json');
  const { settings, losses, grad_norms_before_clipping: norms } = train;
  using loaded = await loadModel(rt, MODEL_URL);
  const { model } = loaded;
  using lora = await adapt(model, 'smollm2/init');
  const file = goldenTensors('smollm2/train.safetensors');
  const { data: ids, shape } = pick(file, 'ids');
  const labels = Int32Array.from(pick(file, 'labels').data);
  const parameters = lora.trainableParameters();
  const { lr, betas, eps, weight_decay: weightDecay, clip_norm: clipNorm } = settings;
  const optimizer = new AdamW(parameters, { lr, betas, eps, weightDecay });
  const lossOf = (): Tensor => {
    const { sum, count } = causalLoss(model, rt.tensor(Int32Array.from(ids), shape), labels);
    return scale(sum, 1 / count);
  };
  const found: { losses: number[]; norms: number[] } = { losses: [], norms: [] };
  for (let step = 0; step < steps; step++)
    rt.scope(() => {
      optimizer.zeroGrad();
      const loss = lossOf();
      loss.backward();
      found.losses.push(loss.item());
      found.norms.push(clipGradNorm(parameters, clipNorm));
      optimizer.step();
    });
  found.losses.push(rt.scope(() => rt.noGrad(() => lossOf().item())));
  expectWithin('losses', found.losses, losses.slice(0, steps + 1), (i) => 2e-5 + 1e-3 * losses[i]!);
  expectWithin('norms', found.norms, norms.slice(0, steps), (i) => 5e-5 + 3e-3 * norms[i]!);
  optimizer.dispose();
  if (steps === norms.length) await expectGreedyText(loaded, greedy);
}
