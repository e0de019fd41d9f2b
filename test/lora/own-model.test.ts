/** A user's model that is no Sequential: adapted, trained, saved and loaded; its layers by name. */
import { expect, test } from 'vitest';
import { AdamW, AdapterError, LoraLinear, LoraModel, mseLoss } from '../../src/index.js';
import { apart } from '../support/layers.js';
import {
  CONFIG,
  Encoder,
  inputsFor,
  type Output,
  pooledValues,
  Q,
  stirEncoder,
} from '../support/own-model.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('a model of a user', (rt) => {
  test('with two inputs and options by name is adapted, trained, saved and loaded', async () => {
    const model = new Encoder(rt());
    const state = model.stateDict();
    const { ids, mask } = inputsFor(rt());
    const lora = LoraModel.attach(model, CONFIG);
    const target = rt().normal([3, 6]).keep();
    const optimizer = new AdamW(lora.trainableParameters(), { lr: 0.03 });
    const step = (): number =>
      rt().scope(() => {
        optimizer.zeroGrad();
        const loss = mseLoss(lora.forward(ids, mask, { strength: 2 }).pooled, target);
        loss.backward();
        optimizer.step();
        return loss.item();
      });
    const first = step();
    for (let i = 0; i < 30; i++) step();
    expect(step()).toBeLessThan(first / 2);
    lora.eval();
    const trained = pooledValues(rt(), () => lora.forward(ids, mask, { strength: 2 }));
    const half = pooledValues(rt(), () => lora.forward(ids, mask));
    expect(half).toEqual(trained.map((value) => Math.fround(value / 2)));
    const files = lora.exportAdapter();

    const fresh = new Encoder(rt());
    fresh.loadStateDict(state);
    const other = LoraModel.attach(fresh).eval() as LoraModel<Encoder>;
    const { unexpected, missing } = await other.loadAdapter('mine', files);
    expect([missing, unexpected]).toEqual([[], []]);
    expect(pooledValues(rt(), () => other.forward(ids, mask, { strength: 2 }))).not.toEqual(trained);
    other.setAdapter('mine');
    expect(pooledValues(rt(), () => other.forward(ids, mask, { strength: 2 }))).toEqual(trained);
    expect(other.verifyMerge(ids, mask, { strength: 2 })).toBeLessThan(1e-4);
    const plain: Encoder = other.mergeAndUnload();
    expect(
      apart(
        pooledValues(rt(), () => plain.forward(ids, mask, { strength: 2 })),
        trained,
      ),
    ).toBeLessThan(1e-4);
  });

  test('takes and gives what its own forward does, also to the compiler', () => {
    const lora = LoraModel.attach(new Encoder(rt()), CONFIG);
    const { ids, mask } = inputsFor(rt());
    rt().scope(() => {
      const output: Output = lora.forward(ids, mask, { adapterNames: 7 });
      expect(output.seen).toBe(7);
      expect(output.pooled.shape).toEqual([3, 6]);
      // @ts-expect-error: the model needs a mask
      expect(() => lora.forward(ids)).toThrow(TypeError);
      // @ts-expect-error: there is no such option
      expect(lora.forward(ids, mask, { typo: 1 }).seen).toBe(0);
    });
  });

  test('a layer is given by its name, and a name that is none names those that there are', () => {
    const lora = LoraModel.attach(new Encoder(rt()), { ...CONFIG, targetModules: ['q'] });
    const { ids, mask } = inputsFor(rt());
    stirEncoder(rt(), lora, 'default');
    const run = (): number[] => pooledValues(rt(), () => lora.forward(ids, mask));
    const on = run();
    expect(lora.layer(Q)).toBe(lora.model.blocks[1]!.attention.q);
    expect(lora.layer(Q)).toBeInstanceOf(LoraLinear);
    lora.layer(Q).enabled = false;
    expect(run()).not.toEqual(on);
    for (const wrong of ['blocks.1.attention.v', 'q', '', 7, undefined, ['blocks']])
      expect(() => lora.layer(wrong as string)).toThrow(
        /^LoraModel\.layer: there is no LoRA layer .+, expected one of blocks\.0\.attention\.q, blocks\.1\.attention\.q$/s,
      );
    expect(() => lora.layer('x')).toThrow(AdapterError);
    lora.unload();
    expect(() => lora.layer(Q)).toThrow('expected one of none');
  });
});
