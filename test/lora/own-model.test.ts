/** A user's model that is no Sequential: two inputs and options by name, an object as output; its layers by name, its rows apart. */
import { expect, test } from 'vitest';
import {
  AdamW,
  AdapterError,
  add,
  Embedding,
  Linear,
  LoraLinear,
  LoraModel,
  Module,
  mean,
  mseLoss,
  mul,
  type Runtime,
  scale,
  type Tensor,
} from '../../src/index.js';
import { apart } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';

interface Output {
  readonly pooled: Tensor;
  readonly seen: number;
}

class Attention extends Module {
  readonly q: Linear;
  readonly v: Linear;

  constructor(rt: Runtime) {
    super();
    this.q = new Linear(rt, 6, 6);
    this.v = new Linear(rt, 6, 6);
  }

  override forward(x: Tensor, mask: Tensor): Tensor {
    return mul(add(this.q.forward(x), this.v.forward(x)), mask);
  }
}

class Encoder extends Module {
  readonly embed: Embedding;
  readonly blocks: { readonly attention: Attention }[];

  constructor(rt: Runtime) {
    super();
    this.embed = new Embedding(rt, 11, 6);
    this.blocks = [{ attention: new Attention(rt) }, { attention: new Attention(rt) }];
  }

  /** @param ids - [batch, length] @param mask - [batch, length, 6] */
  override forward(
    ids: Tensor,
    mask: Tensor,
    { strength = 1, adapterNames }: { strength?: number; adapterNames?: number } = {},
  ): Output {
    const x = this.blocks.reduce((y, { attention }) => attention.forward(y, mask), this.embed.forward(ids));
    return { pooled: scale(mean(x, [1]), strength), seen: adapterNames ?? 0 };
  }
}

const CONFIG = { r: 2, loraAlpha: 4, targetModules: ['q', 'v'] } as const;
const Q = 'blocks.1.attention.q';

function inputsFor(rt: Runtime, batch = 3): { ids: Tensor; mask: Tensor } {
  const ids = rt.tensor(
    Int32Array.from({ length: batch * 4 }, (_, i) => (i * 7) % 11),
    [batch, 4],
  );
  const mask = rt.tensor(
    Float32Array.from({ length: batch * 24 }, (_, i) => Number(i % 24 < 18)),
    [batch, 4, 6],
  );
  return { ids: ids.keep(), mask: mask.keep() };
}

function stir(rt: Runtime, lora: LoraModel<Encoder>, name: string): void {
  for (const [key, parameter] of lora.namedParameters())
    if (key.split('.').includes(name))
      rt.scope(() => {
        parameter.set(rt.normal(parameter.shape, 0.4));
      });
}

const pooled = (rt: Runtime, run: () => Output): number[] =>
  rt.scope(() => rt.noGrad(() => [...run().pooled.toArray()]));

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
    const trained = pooled(rt(), () => lora.forward(ids, mask, { strength: 2 }));
    const half = pooled(rt(), () => lora.forward(ids, mask));
    expect(half).toEqual(trained.map((value) => Math.fround(value / 2)));
    const files = lora.exportAdapter();

    const fresh = new Encoder(rt());
    fresh.loadStateDict(state);
    const other = LoraModel.attach(fresh).eval() as LoraModel<Encoder>;
    const { unexpected, missing } = await other.loadAdapter('mine', files);
    expect([missing, unexpected]).toEqual([[], []]);
    expect(pooled(rt(), () => other.forward(ids, mask, { strength: 2 }))).not.toEqual(trained);
    other.setAdapter('mine');
    expect(pooled(rt(), () => other.forward(ids, mask, { strength: 2 }))).toEqual(trained);
    expect(other.verifyMerge(ids, mask, { strength: 2 })).toBeLessThan(1e-4);
    const plain: Encoder = other.mergeAndUnload();
    expect(
      apart(
        pooled(rt(), () => plain.forward(ids, mask, { strength: 2 })),
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
    stir(rt(), lora, 'default');
    const run = (): number[] => pooled(rt(), () => lora.forward(ids, mask));
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

describeRuntimes('withAdapterNames', (rt) => {
  const NAMES = ['a', '__base__', 'b'];

  function adapted(): { lora: LoraModel<Encoder>; ids: Tensor; mask: Tensor } {
    const lora = LoraModel.attach(new Encoder(rt()), { ...CONFIG, bias: 'all' }, 'a');
    lora.eval();
    lora.addAdapter('b', CONFIG);
    for (const name of ['a', 'b']) stir(rt(), lora, name);
    return { lora, ...inputsFor(rt()) };
  }

  test('gives rows their adapters around any number of calls, of the model itself too, and is over after an error', () => {
    const { lora, ids, mask } = adapted();
    const run = (): number[] => pooled(rt(), () => lora.forward(ids, mask));
    const active = run();
    const alone = NAMES.map((name) => {
      lora.setAdapter(name === '__base__' ? [] : name);
      return run();
    });
    lora.setAdapter('a');
    const wanted = alone.flatMap((values, i) => values.slice(6 * i, 6 * i + 6));
    const both = lora.withAdapterNames(NAMES, () => [
      run(),
      pooled(rt(), () => lora.model.forward(ids, mask)),
    ]);
    expect(both).toEqual([wanted, wanted]);
    expect(run()).toEqual(active);
    const failing = (): void => {
      run();
      throw new Error('mine');
    };
    expect(() => lora.withAdapterNames(NAMES, failing)).toThrow('mine');
    expect(run()).toEqual(active);
  });

  test('refuses what would change the adapters meanwhile, another batch, training and a promise', () => {
    const { lora, ids, mask } = adapted();
    const run = (): number[] => pooled(rt(), () => lora.forward(ids, mask));
    const before = run();
    const calls: Record<string, () => unknown> = {
      setAdapter: () => lora.setAdapter('b'),
      deleteAdapter: () => lora.deleteAdapter('b'),
      merge: () => lora.merge(),
      unmerge: () => lora.unmerge(),
      verifyMerge: () => lora.verifyMerge(ids, mask),
      unload: () => lora.unload(),
      withAdaptersDisabled: () => lora.withAdaptersDisabled(run),
      withAdapterNames: () => lora.withAdapterNames(NAMES, run),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(() => lora.withAdapterNames(NAMES, call)).toThrow(
        `LoraModel.${name}: called inside withAdapterNames, expected a call outside of it`,
      );
      expect(run(), name).toEqual(before);
    }
    expect(() => lora.withAdaptersDisabled(() => lora.withAdapterNames(NAMES, run))).toThrow(
      'called inside withAdaptersDisabled',
    );
    const small = inputsFor(rt(), 2);
    expect(() => lora.withAdapterNames(NAMES, () => lora.forward(small.ids, small.mask))).toThrow(
      'LoraModel.forward: adapterNames has 3 names, expected one for each row of [2, 4]',
    );
    expect(() => lora.withAdapterNames(NAMES, () => lora.train() && run())).toThrow('in training mode');
    lora.eval();
    expect(() => lora.withAdapterNames(NAMES, async () => run())).toThrow(TypeError);
    for (const wrong of [null, 'a', 3, [3], [], ['typo']])
      expect(() => lora.withAdapterNames(wrong as string[], run)).toThrow(/^LoraModel\.withAdapterNames: /);
    expect(run()).toEqual(before);
  });

  test('asking for parameters inside it, or with adapters disabled, changes nothing', () => {
    const { lora, ids, mask } = adapted();
    const run = (): number[] => pooled(rt(), () => lora.forward(ids, mask));
    const names = lora.namedParameters();
    const ask = (): void => {
      expect(lora.namedParameters()).toEqual(names);
      lora.stateDict();
      lora.report();
      lora.summary();
    };
    const twice = (around: (fn: () => number[][]) => number[][]): void => {
      const [first, second] = around(() => {
        const y = run();
        ask();
        return [y, run()];
      });
      expect(second).toEqual(first);
    };
    twice((fn) => lora.withAdapterNames(NAMES, fn));
    twice((fn) => lora.withAdaptersDisabled(fn));
    // Neither does what puts the originals in by itself.
    const within = lora.withAdaptersDisabled(() => {
      const y = run();
      lora.addAdapter('c', CONFIG);
      const added = run();
      lora.withAdaptersDisabled(() => {});
      return [y, added, run()];
    });
    expect(within[1]).toEqual(within[0]);
    expect(within[2]).toEqual(within[0]);
    lora.deleteAdapter('c');
    const { model } = lora;
    const held = model.namedModules().flatMap(([, module]) => [...module.parameterSlots()]);
    const values = held.map(({ get }) => get());
    for (const slot of held) slot.set = () => expect.unreachable('a query wrote');
    ask();
    expect(held.map(({ get }) => get())).toEqual(values);
  });
});
