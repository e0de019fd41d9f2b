/**
 * The cases of `peft/`: an adapter that PEFT saved, on the same base, compared in outputs, gradients, three AdamW steps and
 * merging, and written back. `make_peft_golden.py` in the golden folder says what each tensor is; `peft-models.ts` has the models.
 */
import { AdamW, type Layer, LoraModel, mseLoss, type Runtime, type Tensor } from 'lora-wasm';
import { expect } from 'vitest';
import { AdamBound, DIRECT, expectNumber, expectTensor, STEPPED } from './compare.js';
import { tensorOf } from './core.js';
import { goldenBytes, goldenJson, goldenTensors, group, pick, readSafetensors } from './files.js';
import { modelOf } from './peft-models.js';

interface Case {
  readonly losses: number[];
  readonly trainable: number;
  readonly targets: string[];
}

const ADAMW = { lr: 1e-2, betas: [0.9, 0.999] as const, eps: 1e-8, weightDecay: 0.01 };

export async function checkPeftCase(rt: Runtime, name: string): Promise<void> {
  const base = goldenTensors(`peft/${name}/base.safetensors`);
  const io = goldenTensors(`peft/${name}/io.safetensors`);
  const about = goldenJson<Case>(`peft/${name}/case.json`);
  const input = pick(io, 'x');
  const differentiable = input.dtype === 'F32';
  const x = rt.tensor(input.data, input.shape, { requiresGrad: differentiable });
  const target = tensorOf(rt, pick(io, 'target'));

  const model = modelOf(rt, base, input.shape[1]!);
  expectTensor(
    'y_base',
    rt.noGrad(() => model.forward(x)),
    pick(io, 'y_base'),
  );
  const lora = await loadPeftAdapter(model, name);
  expect(lora.summary().trainable, 'trainable values').toBe(about.trainable);
  checkExport(lora, name);
  for (const [key, want] of io) {
    if (!key.startsWith('base_after.')) continue;
    const path = key.slice('base_after.'.length).replace(/\.weight$/, '');
    expectTensor(key, weightOf(model, path), want);
  }
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
        if (differentiable) expectTensor('gradient of x', x.grad, pick(io, 'grad.x'));
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

async function loadPeftAdapter(model: Layer, name: string): Promise<LoraModel> {
  const lora = LoraModel.attach(model);
  await lora.loadAdapter(
    'default',
    {
      config: goldenJson<Record<string, unknown>>(`peft/${name}/adapter/adapter_config.json`),
      weights: goldenBytes(`peft/${name}/adapter/adapter_model.safetensors`),
    },
    { trainable: true },
  );
  lora.setAdapter('default');
  return lora;
}

/** The weight that a layer computes with: what an initialisation that changes the base left of it. */
function weightOf(model: Layer, path: string): Tensor {
  const found = model.namedModules().find(([name]) => name === path)?.[1];
  return (found as unknown as { weight: Tensor }).weight;
}

/** Trainable tensors by the keys of PEFT's file. */
function adapterParameters(lora: LoraModel): Map<string, Tensor> {
  const adapted = new Set(lora.report().wrapped);
  const named = lora.namedParameters().filter(([key]) => /\.default(?:\.|$)/.test(key));
  return new Map(
    named.map(([key, p]) => {
      const bias = /^(.*)\.trained\.default\.bias$/.exec(key)?.[1];
      const plain =
        bias === undefined
          ? key.replace(/\.modules_to_save\.default/, '').replace(/\.default/, '')
          : `${bias}${adapted.has(bias) ? '.base_layer' : ''}.bias`;
      return [
        `base_model.model.${plain.replace(/lora_magnitude_vector\.weight$/, 'lora_magnitude_vector')}`,
        p,
      ];
    }),
  );
}

/** Writing back gives PEFT's file: the same tensors bit for bit, the same fields with the same values. */
function checkExport(lora: LoraModel, name: string): void {
  const files = lora.exportAdapter('default', { convert: false });
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

function bitsOf(data: Float32Array | Int32Array | Uint8Array): Int32Array {
  return new Int32Array(data.buffer);
}

/** The order of target modules means nothing: PEFT keeps them in a set. */
function normalised(config: unknown): Record<string, unknown> {
  const fields = { ...(config as Record<string, unknown>) };
  if (Array.isArray(fields.target_modules)) fields.target_modules = fields.target_modules.map(String).sort();
  return fields;
}
