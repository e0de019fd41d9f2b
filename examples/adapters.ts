/**
 * Several adapters over one base: trained apart, switched, mixed in one batch, combined, saved in PEFT's format, read back,
 * merged. Run: `npx tsx examples/adapters.ts`
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdamW, createRuntime, Linear, LoraModel, mseLoss, ReLU, Sequential, type Tensor } from 'lora-wasm';
import { saveAdapter } from 'lora-wasm/node';

const rt = await createRuntime({ seed: 1 });
const model = new Sequential(new Linear(rt, 8, 64), new ReLU(), new Linear(rt, 64, 1));
const lora = LoraModel.attach(model);
const x = rt.normal([64, 8]);

/** Trains one adapter to a target of its own; the base and the other adapters stay. */
function teach(name: string, target: Tensor, config: object): number {
  lora.addAdapter(name, { r: 4, loraAlpha: 8, targetModules: ['0', '2'], ...config });
  lora.setAdapter(name);
  lora.setTrainable(name);
  // LoRA+: B learns four times as fast as A; biases and magnitudes do not decay.
  const groups = lora.parameterGroups({ lr: 0.01, loraPlusLrRatio: 4, weightDecay: 0.01 });
  using optimizer = new AdamW(groups);
  let last = 0;
  for (let i = 0; i < 200; i++)
    rt.scope(() => {
      optimizer.zeroGrad();
      const loss = mseLoss(lora.forward(x), target);
      loss.backward();
      optimizer.step();
      last = loss.item();
    });
  return last;
}

const targetOf = (f: (row: number[]) => number): Tensor => {
  const rows = [...x.toArray()];
  return rt.tensor(
    Array.from({ length: 64 }, (_, i) => f(rows.slice(8 * i, 8 * i + 8))),
    [64, 1],
  );
};
console.log(
  'plain LoRA learns the sum:',
  teach(
    'sum',
    targetOf((row) => row.reduce((a, b) => a + b)),
    {},
  ).toFixed(4),
);
console.log(
  'DoRA learns a difference:',
  teach(
    'difference',
    targetOf(([a, b]) => a! - b!),
    { useDora: true },
  ).toFixed(4),
);
console.log(
  'PiSSA learns a product:',
  teach(
    'product',
    targetOf(([a, b]) => a! * b!),
    { initLoraWeights: 'pissa', targetModules: ['0'] },
  ).toFixed(4),
);
console.log(lora.report().toString());

lora.eval();
const predict = (names?: string[]): number[] =>
  rt.scope(() =>
    rt.noGrad(() => {
      const y = names === undefined ? lora.forward(x) : lora.withAdapterNames(names, () => lora.forward(x));
      return [...y.toArray()];
    }),
  );

// One batch, each row with its own adapter: the bits are those of a run with that adapter alone.
const names = Array.from({ length: 64 }, (_, i) => ['sum', 'difference', '__base__', 'product'][i % 4]!);
const mixed = predict(names);
lora.setAdapter('difference');
const alone = predict();
const same = names.every((name, i) => name !== 'difference' || mixed[i] === alone[i]);
console.log(`rows with adapters of their own equal full runs: ${same ? 'yes' : 'no'}`);

// Half of an adapter, exactly: a combination of scaling 1.
lora.addWeightedAdapter(['sum'], [0.5], { name: 'half' });
lora.setAdapter('half');
const half = predict();
lora.setAdapter('sum');
lora.setScale('sum', 0.5);
const scaled = predict();
lora.setScale('sum', 1);
const apart = Math.max(...half.map((value, i) => Math.abs(value - scaled[i]!)));
console.log(`half of an adapter by combining and by setScale: ${apart < 1e-5 ? 'the same' : apart}`);

// PEFT's own files and back.
const folder = await mkdtemp(join(tmpdir(), 'lora-wasm-adapters-'));
const before = predict();
await saveAdapter(lora, 'sum', folder);
await lora.loadAdapter('again', folder);
lora.setAdapter('again');
const exact = predict().every((value, i) => value === before[i]);
console.log(`saved for PEFT and read back, the output is the same: ${exact ? 'yes' : 'no'}`);
await rm(folder, { recursive: true });

console.log(`merging would change an output by at most ${lora.verifyMerge(x).toExponential(0)}`);
const plain = lora.mergeAndUnload();
console.log(`merged for good: ${plain.parameters().length} parameters, as at the start`);
if (!same || !exact || apart >= 1e-5) process.exitCode = 1;
rt.dispose();
