/** What a language model is trained by: causalLoss beside whole logits, packed rows, blocks computed again, and what is refused. */
import { expect, test } from 'vitest';
import {
  createRuntime,
  crossEntropy,
  dropoutState,
  LoraModel,
  loadDropoutState,
  type Runtime,
  scale,
} from '../../src/index.js';
import { type CausalLM, type CausalLossOptions, causalLoss, loadModel } from '../../src/models/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import { tinyFolder } from '../support/tiny-model.js';
import { wrong } from '../support/wrong.js';

const ROWS = [[5, 9, 3, 17, 30, 8, 8], [1, 12, 4], [7], [20, 2, 2, 31, 6, 6, 11, 9, 4, 13]];

const load = async (rt: Runtime): Promise<{ model: CausalLM; lora: LoraModel<CausalLM> }> => {
  const { model } = await loadModel(rt, tinyFolder());
  const options = { r: 3, targetModules: 'all-linear', loraDropout: 0.2, initLoraWeights: false } as const;
  return { model, lora: LoraModel.attach(model, options) };
};

interface Step {
  readonly loss: number;
  readonly gradients: (readonly number[])[];
}

function stepOf(rt: Runtime, lora: LoraModel<CausalLM>, model: CausalLM, batch: Batch): Step {
  const parameters = lora.trainableParameters();
  for (const parameter of parameters) parameter.grad = null;
  const loss = rt.scope(() => {
    const { sum, count } = causalLoss(
      model,
      rt.tensor(Int32Array.from(batch.ids), batch.shape),
      Int32Array.from(batch.labels),
      batch.options,
    );
    const mean = scale(sum, 1 / Math.max(count, 1));
    mean.backward();
    return mean.item();
  });
  return { loss, gradients: parameters.map(({ grad }) => [...grad!.toArray()]) };
}

interface Batch {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  readonly shape: readonly number[];
  readonly options?: CausalLossOptions;
}

const alone = (ids: readonly number[], labels = ids): Batch => ({ ids, labels, shape: [1, ids.length] });

/** All rows in one sequence. */
function packed(rows: readonly (readonly number[])[]): Batch {
  const ids = rows.flat();
  const from = rows.flatMap((row, i) => {
    const start = rows.slice(0, i).flat().length;
    return row.map(() => start);
  });
  return {
    ...alone(ids),
    options: {
      starts: Int32Array.from(from),
      positions: Int32Array.from(from, (start, i) => i - start),
    },
  };
}

describeRuntimes('causalLoss', (rt) => {
  test('is the cross-entropy of what follows each token, of the labels that count', async () => {
    const { model, lora } = await load(rt());
    lora.eval();
    const [T, ids] = [7, [...ROWS[0]!, ...ROWS[3]!.slice(0, 7)]];
    const labels = ids.map((id, i) => (i % 5 === 2 ? -100 : id));
    const next = labels.map((_, i) => ((i + 1) % T === 0 ? -100 : labels[i + 1]!));
    rt().scope(() => {
      const own = rt().tensor(Int32Array.from(ids), [2, T]);
      const wanted = crossEntropy(model.forward(own), rt().tensor(Int32Array.from(next), [2, T]), {
        reduction: 'sum',
      });
      const { sum, count } = causalLoss(model, own, rt().tensor(Int32Array.from(labels), [2, T]));
      expect(count).toBe(next.filter((label) => label !== -100).length);
      expect(Math.abs(sum.item() - wanted.item())).toBeLessThan(1e-6 * wanted.item());
    });
    lora.dispose();
  });

  test('packed rows give the losses and gradients of each alone, and no row foretells the next', async () => {
    const { model, lora } = await load(rt());
    lora.eval();
    const together = stepOf(rt(), lora, model, packed(ROWS));
    const steps = ROWS.map((row) => ({ ...stepOf(rt(), lora, model, alone(row)), count: row.length - 1 }));
    const count = steps.reduce((sum, one) => sum + one.count, 0);
    const mean = (of: (step: Step) => number): number =>
      steps.reduce((sum, one) => sum + one.count * of(one), 0) / count;
    expect(Math.abs(together.loss - mean(({ loss }) => loss))).toBeLessThan(1e-5);
    for (const [i, own] of together.gradients.entries()) {
      const error = own.reduce(
        (most, value, at) => Math.max(most, Math.abs(value - mean((step) => step.gradients[i]![at]!))),
        0,
      );
      expect(error).toBeLessThan(1e-5);
      expect(Math.max(...own.map(Math.abs))).toBeGreaterThan(1e-4);
    }
    lora.dispose();
  });

  test('blocks that are computed again in backward give the same bits, dropout included, in less memory', async () => {
    const { model, lora } = await load(rt());
    const batch = alone(Array.from({ length: 30 }, (_, i) => (i * i) % 32));
    const masks = dropoutState(lora);
    const peaks: number[] = [];
    const steps = [false, true].map((again) => {
      model.gradientCheckpointing = again;
      stepOf(rt(), lora, model, batch);
      loadDropoutState(lora, masks);
      const before = rt().memory().held;
      rt().resetPeakMemory();
      const step = stepOf(rt(), lora, model, batch);
      peaks.push(rt().memory().peak - before);
      const after = dropoutState(lora);
      loadDropoutState(lora, masks);
      return { step, after };
    });
    expect(steps[1]).toEqual(steps[0]);
    expect(peaks[1]).toBeLessThan(0.8 * peaks[0]!);
    lora.dispose();
  });

  test('nothing that counts is a sum of 0 with gradients of 0', async () => {
    const { model, lora } = await load(rt());
    const step = stepOf(rt(), lora, model, alone([3, 4, 5], [-100, -100, -100]));
    expect(step.loss).toBe(0);
    expect(step.gradients.flat().every((value) => value === 0)).toBe(true);
    expect(stepOf(rt(), lora, model, alone([3])).loss).toBe(0);
    lora.dispose();
  });
});

test('what is no batch of a language model is refused', async () => {
  using rt = await createRuntime({ threads: 1 });
  const { model } = await load(rt);
  const ids = rt.tensor(Int32Array.of(1, 2, 3, 4), [2, 2]);
  const refused: [string, () => unknown][] = [
    ['causalLoss: model is 1, expected a CausalLM', () => causalLoss(wrong(1), ids, ids)],
    ['causalLoss: ids is f32, expected i32', () => causalLoss(model, rt.zeros([1, 2]), ids)],
    [
      'causalLoss: labels has 3 elements, expected 4 for [2, 2]',
      () => causalLoss(model, ids, new Int32Array(3)),
    ],
    [
      'causalLoss: labels is [1, 4], expected [2, 2]',
      () => causalLoss(model, ids, rt.zeros([1, 4], { dtype: 'i32' })),
    ],
    [
      'causalLoss: label 2 is 999, expected 0 to',
      () => causalLoss(model, ids, Int32Array.of(-100, 1, 999, 2)),
    ],
    ['causalLoss: label 0 is -1, expected 0 to', () => causalLoss(model, ids, Int32Array.of(-1, 1, 1, 2))],
    [
      'causalLoss: starts is [0], expected an Int32Array or an int32 tensor',
      () => causalLoss(model, ids, ids, { starts: wrong([0]) }),
    ],
    [
      "causalLoss: unknown option 'rows', expected one of starts, positions",
      () => causalLoss(model, ids, ids, wrong({ rows: 1 })),
    ],
  ];
  for (const [message, call] of refused) expect(call).toThrow(message);
});
