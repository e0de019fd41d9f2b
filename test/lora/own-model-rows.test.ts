/** withAdapterNames: rows of a user's own model have their adapters around any number of calls. */
import { expect, test } from 'vitest';
import { LoraModel, type Tensor } from '../../src/index.js';
import { CONFIG, Encoder, inputsFor, pooledValues, stirEncoder } from '../support/own-model.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('withAdapterNames', (rt) => {
  const ROWS = ['a', '__base__', 'b'];

  function adapted(): { lora: LoraModel<Encoder>; ids: Tensor; mask: Tensor } {
    const lora = LoraModel.attach(new Encoder(rt()), { ...CONFIG, bias: 'all' }, 'a');
    lora.eval();
    lora.addAdapter('b', CONFIG);
    for (const name of ['a', 'b']) stirEncoder(rt(), lora, name);
    return { lora, ...inputsFor(rt()) };
  }

  test('gives rows their adapters around any number of calls, of the model itself too, and is over after an error', () => {
    const { lora, ids, mask } = adapted();
    const run = (): number[] => pooledValues(rt(), () => lora.forward(ids, mask));
    const active = run();
    const alone = ROWS.map((name) => {
      lora.setAdapter(name === '__base__' ? [] : name);
      return run();
    });
    lora.setAdapter('a');
    const wanted = alone.flatMap((values, i) => values.slice(6 * i, 6 * i + 6));
    const both = lora.withAdapterNames(ROWS, () => [
      run(),
      pooledValues(rt(), () => lora.model.forward(ids, mask)),
    ]);
    expect(both).toEqual([wanted, wanted]);
    expect(run()).toEqual(active);
    const failing = (): void => {
      run();
      throw new Error('mine');
    };
    expect(() => lora.withAdapterNames(ROWS, failing)).toThrow('mine');
    expect(run()).toEqual(active);
  });

  test('refuses what would change the adapters meanwhile, another batch, training and a promise', () => {
    const { lora, ids, mask } = adapted();
    const run = (): number[] => pooledValues(rt(), () => lora.forward(ids, mask));
    const before = run();
    const calls: Record<string, () => unknown> = {
      setAdapter: () => lora.setAdapter('b'),
      deleteAdapter: () => lora.deleteAdapter('b'),
      merge: () => lora.merge(),
      unmerge: () => lora.unmerge(),
      verifyMerge: () => lora.verifyMerge(ids, mask),
      unload: () => lora.unload(),
      withAdaptersDisabled: () => lora.withAdaptersDisabled(run),
      withAdapterNames: () => lora.withAdapterNames(ROWS, run),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(() => lora.withAdapterNames(ROWS, call)).toThrow(
        `LoraModel.${name}: called inside withAdapterNames, expected a call outside of it`,
      );
      expect(run(), name).toEqual(before);
    }
    expect(() => lora.withAdaptersDisabled(() => lora.withAdapterNames(ROWS, run))).toThrow(
      'called inside withAdaptersDisabled',
    );
    const small = inputsFor(rt(), 2);
    expect(() => lora.withAdapterNames(ROWS, () => lora.forward(small.ids, small.mask))).toThrow(
      'LoraModel.forward: adapterNames has 3 names, expected one for each row of [2, 4]',
    );
    expect(() => lora.withAdapterNames(ROWS, () => lora.train() && run())).toThrow('in training mode');
    lora.eval();
    expect(() => lora.withAdapterNames(ROWS, async () => run())).toThrow(TypeError);
    for (const wrong of [null, 'a', 3, [3], [], ['typo']])
      expect(() => lora.withAdapterNames(wrong as string[], run)).toThrow(/^LoraModel\.withAdapterNames: /);
    expect(run()).toEqual(before);
  });

  test('asking for parameters inside it, or with adapters disabled, changes nothing', () => {
    const { lora, ids, mask } = adapted();
    const run = (): number[] => pooledValues(rt(), () => lora.forward(ids, mask));
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
    twice((fn) => lora.withAdapterNames(ROWS, fn));
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
