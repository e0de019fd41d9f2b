/**
 * The linear cases of `peft/`: an adapter that PEFT saved, on the same base, compared in outputs, gradients, three AdamW
 * steps and merging, and written back. `make_peft_golden.py` in the golden folder says what each tensor is.
 */
import {
  AdamW,
  add,
  Linear,
  LoraModel,
  Module,
  mseLoss,
  mul,
  ReLU,
  type Runtime,
  type Tensor,
  tanh,
} from 'lora-wasm';
import { expect } from 'vitest';
import { AdamBound, DIRECT, expectNumber, expectTensor, STEPPED } from './compare.js';
import { tensorOf } from './core.js';
import {
  type GoldenFile,
  goldenBytes,
  goldenJson,
  goldenTensors,
  group,
  pick,
  readSafetensors,
} from './files.js';

interface Case {
  readonly losses: number[];
  readonly trainable: number;
  readonly targets: string[];
}

/** fc2(relu(fc1(x))), with the sizes and biases of the base file. */
class Mlp extends Module {
  readonly fc1: Linear;
  readonly act = new ReLU();
  readonly fc2: Linear;

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    this.fc1 = linearOf(rt, base, 'fc1');
    this.fc2 = linearOf(rt, base, 'fc2');
    this.loadStateDict(base);
  }

  override forward(x: Tensor): Tensor {
    return this.fc2.forward(this.act.forward(this.fc1.forward(x)));
  }
}

function linearOf(rt: Runtime, base: GoldenFile, name: string): Linear {
  const [outputs, inputs] = pick(base, `${name}.weight`).shape as [number, number];
  return new Linear(rt, inputs, outputs, { bias: base.has(`${name}.bias`) });
}

class Attention extends Module {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;

  constructor(rt: Runtime, base: GoldenFile, path: string) {
    super();
    this.q = linearOf(rt, base, `${path}.q`);
    this.k = linearOf(rt, base, `${path}.k`);
    this.v = linearOf(rt, base, `${path}.v`);
    this.o = linearOf(rt, base, `${path}.o`);
  }

  override forward(x: Tensor): Tensor {
    return add(x, this.o.forward(add(mul(tanh(this.q.forward(x)), this.k.forward(x)), this.v.forward(x))));
  }
}

class Layer extends Module {
  readonly attn: Attention;

  constructor(rt: Runtime, base: GoldenFile, path: string) {
    super();
    this.attn = new Attention(rt, base, `${path}.attn`);
  }

  override forward(x: Tensor): Tensor {
    return this.attn.forward(x);
  }
}

class Inner extends Module {
  readonly layers: Layer[] = [];

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    for (let i = 0; base.has(`model.layers.${i}.attn.q.weight`); i++)
      this.layers.push(new Layer(rt, base, `model.layers.${i}`));
  }

  override forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }
}

/** lm_head(model(x)); model.layers.N: x + attn.o(tanh(attn.q(x)) * attn.k(x) + attn.v(x)). */
class Blocks extends Module {
  readonly model: Inner;
  readonly lm_head: Linear;

  constructor(rt: Runtime, base: GoldenFile) {
    super();
    this.model = new Inner(rt, base);
    this.lm_head = linearOf(rt, base, 'lm_head');
    this.loadStateDict(base);
  }

  override forward(x: Tensor): Tensor {
    return this.lm_head.forward(this.model.forward(x));
  }
}

const ADAMW = { lr: 1e-2, betas: [0.9, 0.999] as const, eps: 1e-8, weightDecay: 0.01 };

export async function checkLinearCase(rt: Runtime, name: string): Promise<void> {
  const base = goldenTensors(`peft/${name}/base.safetensors`);
  const io = goldenTensors(`peft/${name}/io.safetensors`);
  const about = goldenJson<Case>(`peft/${name}/case.json`);
  const x = rt.tensor(pick(io, 'x').data, pick(io, 'x').shape, { requiresGrad: true });
  const target = tensorOf(rt, pick(io, 'target'));

  const model = base.has('lm_head.weight') ? new Blocks(rt, base) : new Mlp(rt, base);
  expectTensor(
    'y_base',
    rt.noGrad(() => model.forward(x)),
    pick(io, 'y_base'),
  );
  const lora = await loadPeftAdapter(model, name);
  expect(lora.summary().trainable, 'trainable values').toBe(about.trainable);
  checkExport(lora, name);
  expectTensor(
    'y with the adapter off',
    lora.withAdaptersDisabled(() => rt.noGrad(() => lora.forward(x))),
    pick(io, 'y_base'),
  );

  const parameters = adapterParameters(lora);
  const gradients = group(io, 'grad.');
  const stepped = group(io, 'stepped.');
  gradients.delete('x');
  expect([...parameters.keys()].sort(), 'adapter tensors').toEqual([...gradients.keys()].sort());
  expect([...parameters.keys()].sort(), 'stepped tensors').toEqual([...stepped.keys()].sort());
  const bounds = new Map([...parameters].map(([key, p]) => [key, new AdamBound(p.size, ADAMW.lr)]));
  const optimizer = new AdamW(lora.trainableParameters(), ADAMW);

  for (let step = 0; step < about.losses.length - 1; step++) {
    rt.scope(() => {
      optimizer.zeroGrad();
      const y = lora.forward(x);
      const loss = mseLoss(y, target);
      loss.backward();
      expectNumber(
        `loss before step ${step}`,
        loss.item(),
        about.losses[step]!,
        step === 0 ? DIRECT : STEPPED,
      );
      if (step === 0) {
        expectTensor('y', y, pick(io, 'y'));
        expectTensor('gradient of x', x.grad, pick(io, 'grad.x'));
        for (const [key, want] of gradients)
          expectTensor(`gradient of ${key}`, parameters.get(key)!.grad, want);
      }
      for (const [key, parameter] of parameters) bounds.get(key)!.seen(parameter.grad!.toArray());
      optimizer.step();
    });
  }

  for (const [key, want] of stepped)
    bounds.get(key)!.expect(`${key} after the steps`, parameters.get(key)!, want);
  const forward = (): Tensor => rt.noGrad(() => lora.forward(x));
  const y = forward();
  expectTensor('y after the steps', y, pick(io, 'y_stepped'), STEPPED);
  const loss = rt.noGrad(() => mseLoss(y, target).item());
  expectNumber('loss after the last step', loss, about.losses.at(-1)!, STEPPED);
  lora.merge();
  expectTensor('y merged', forward(), pick(io, 'y_merged_stepped'), STEPPED);
  lora.unmerge();
  expect(forward().toArray(), 'y unmerged').toEqual(y.toArray());
}

/** Attaching needs an adapter, so one on every layer stands in until PEFT's is loaded. */
async function loadPeftAdapter(model: Module, name: string): Promise<LoraModel> {
  const lora = LoraModel.attach(model, { r: 1, targetModules: 'all-linear' }, 'placeholder');
  await lora.loadAdapter(
    'default',
    {
      config: goldenJson<Record<string, unknown>>(`peft/${name}/adapter/adapter_config.json`),
      weights: goldenBytes(`peft/${name}/adapter/adapter_model.safetensors`),
    },
    { trainable: true },
  );
  lora.setAdapter('default');
  lora.deleteAdapter('placeholder');
  return lora;
}

/** Trainable tensors by the keys of PEFT's file. */
function adapterParameters(lora: LoraModel): Map<string, Tensor> {
  const named = lora.namedParameters().filter(([key]) => /\.lora_[AB]\.default\./.test(key));
  return new Map(named.map(([key, p]) => [`base_model.model.${key.replace('.default.', '.')}`, p]));
}

/** Writing back gives PEFT's file: the same tensors bit for bit, the same fields with the same values. */
function checkExport(lora: LoraModel, name: string): void {
  const files = lora.exportAdapter('default');
  const got = readSafetensors(Uint8Array.from(files['adapter_model.safetensors']), 'the exported adapter');
  const want = goldenTensors(`peft/${name}/adapter/adapter_model.safetensors`);
  expect([...got.keys()].sort(), 'exported tensors').toEqual([...want.keys()].sort());
  for (const [key, tensor] of want) {
    expect(pick(got, key).shape, `exported shape of ${key}`).toEqual(tensor.shape);
    expect(bitsOf(pick(got, key).data), `exported ${key}`).toEqual(bitsOf(tensor.data));
  }
  const config: unknown = JSON.parse(new TextDecoder().decode(files['adapter_config.json']));
  expect(normalised(config), 'exported config').toEqual(
    normalised(goldenJson<unknown>(`peft/${name}/adapter/adapter_config.json`)),
  );
}

function bitsOf(data: Float32Array | Int32Array): Int32Array {
  return new Int32Array(data.buffer);
}

/** The order of target modules means nothing: PEFT keeps them in a set. */
function normalised(config: unknown): Record<string, unknown> {
  const fields = { ...(config as Record<string, unknown>) };
  if (Array.isArray(fields.target_modules)) fields.target_modules = fields.target_modules.map(String).sort();
  return fields;
}
