/**
 * The cases of `core/`: six steps of a 13 -> 11 -> 7 network under one optimiser, and cross-entropy at extreme logits.
 * `make_core_golden.py` in the golden folder says what each tensor is.
 */
import {
  Adam,
  AdamW,
  crossEntropy,
  Linear,
  type Parameter,
  ReLU,
  type Runtime,
  Sequential,
  SGD,
} from 'lora-wasm';
import { AdamBound, DIRECT, expectNumber, expectTensor, expectWithin, STEPPED } from './compare.js';
import { type GoldenTensor, goldenJson, goldenTensors, group, pick } from './files.js';

interface Settings {
  readonly lr: number;
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weight_decay?: number;
  readonly betas?: [number, number];
  readonly eps?: number;
}

type Index = Record<string, { readonly settings: Settings; readonly losses: number[] }>;

function makeOptimizer(name: string, parameters: Parameter[], settings: Settings): SGD | Adam | AdamW {
  const { weight_decay: weightDecay, ...rest } = settings;
  const options = { ...rest, ...(weightDecay === undefined ? {} : { weightDecay }) };
  if (name.startsWith('sgd')) return new SGD(parameters, options);
  return name.startsWith('adamw') ? new AdamW(parameters, options) : new Adam(parameters, options);
}

/** Gradients, logits and loss before the first step; loss before every step and after the last; parameters after all. */
export function checkOptimizer(rt: Runtime, name: string): void {
  const file = goldenTensors(`core/${name}.safetensors`);
  const entry = goldenJson<Index>('core/index.json')[name];
  if (entry === undefined) throw new Error(`core/index.json has no ${name}`);
  const { settings, losses } = entry;

  const init = group(file, 'init.');
  const [hidden, inputs] = pick(file, 'init.0.weight').shape as [number, number];
  const outputs = pick(file, 'init.2.weight').shape[0]!;
  const net = new Sequential(new Linear(rt, inputs, hidden), new ReLU(), new Linear(rt, hidden, outputs));
  net.loadStateDict(init);
  const named = net.namedParameters();
  const optimizer = makeOptimizer(name, net.parameters(), settings);
  const bounds = new Map(named.map(([key, parameter]) => [key, new AdamBound(parameter.size, settings.lr)]));
  const x = tensorOf(rt, pick(file, 'x'));
  const labels = tensorOf(rt, pick(file, 'labels'));

  for (let step = 0; step < losses.length - 1; step++) {
    rt.scope(() => {
      optimizer.zeroGrad();
      const logits = net.forward(x);
      const loss = crossEntropy(logits, labels);
      loss.backward();
      expectNumber(`loss before step ${step}`, loss.item(), losses[step]!, step === 0 ? DIRECT : STEPPED);
      if (step === 0) {
        expectTensor('logits', logits, pick(file, 'logits'));
        for (const [key, parameter] of named)
          expectTensor(`gradient of ${key}`, parameter.grad, pick(file, `grad.${key}`));
      }
      for (const [key, parameter] of named) bounds.get(key)!.seen(parameter.grad!.toArray());
      optimizer.step();
    });
  }

  const last = rt.noGrad(() => rt.scope(() => crossEntropy(net.forward(x), labels).item()));
  expectNumber('loss after the last step', last, losses.at(-1)!, STEPPED);
  const after = group(file, 'after.');
  expectSameNames(
    named.map(([key]) => key),
    after,
  );
  for (const [key, parameter] of named) {
    const want = pick(file, `after.${key}`);
    if (name.startsWith('sgd')) expectTensor(`${key} after the steps`, parameter, want);
    else bounds.get(key)!.expect(`${key} after the steps`, parameter, want);
  }
}

/** Loss of each row, mean over the rows that count, and gradient of the mean; one label is the ignored -100. */
export function checkCrossEntropy(rt: Runtime): void {
  const file = goldenTensors('core/xent.safetensors');
  const labels = tensorOf(rt, pick(file, 'labels'));
  const golden = pick(file, 'logits');
  const logits = rt.tensor(golden.data, golden.shape, { requiresGrad: true });

  const rows = rt.noGrad(() => crossEntropy(logits, labels, { reduction: 'none', ignoreIndex: -100 }));
  const want = pick(file, 'loss_per_row').data;
  // Losses of 2e4 and of 1e-4 stand side by side, so each row is held to its own size.
  expectWithin('loss per row', rows.toArray(), want, (i) => 2e-5 * (1 + Math.abs(want[i]!)));

  const mean = crossEntropy(logits, labels, { ignoreIndex: -100 });
  mean.backward();
  expectNumber('mean loss', mean.item(), pick(file, 'mean').data[0]!, 1e-5);
  expectTensor('gradient of logits', logits.grad, pick(file, 'grad'));
}

/** The golden tensor in the runtime: float32, or int32 for labels. */
export function tensorOf(rt: Runtime, { data, shape }: GoldenTensor): ReturnType<Runtime['tensor']> {
  return rt.tensor(data, shape);
}

function expectSameNames(names: readonly string[], wanted: ReadonlyMap<string, GoldenTensor>): void {
  const missing = [...wanted.keys()].filter((key) => !names.includes(key));
  if (missing.length > 0) throw new Error(`the model has no ${missing.join(', ')}`);
}
