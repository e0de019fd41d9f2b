/** An optimiser's state by name: what is in it, that training goes on from it with the same bits, and what is refused. */
import { describe, expect, test } from 'vitest';
import { parseSafetensors, writeSafetensors } from '../../src/formats/index.js';
import {
  Adam,
  AdamW,
  Linear,
  LoraModel,
  type Module,
  mseLoss,
  type NamedArray,
  ReLU,
  type Runtime,
  Sequential,
  SGD,
} from '../../src/index.js';
import type { Optimizer } from '../../src/optim/base.js';
import { describeRuntimes } from '../support/runtimes.js';

const KINDS: readonly [string, (model: LoraModel<Sequential>) => Optimizer, readonly string[]][] = [
  [
    'AdamW over LoRA+ groups',
    (model) => new AdamW(model.parameterGroups({ lr: 0.01, loraPlusLrRatio: 4, weightDecay: 0.1 })),
    ['exp_avg', 'exp_avg_sq', 'step'],
  ],
  ['Adam', (model) => new Adam(model.trainableParameters(), { lr: 0.01 }), ['exp_avg', 'exp_avg_sq', 'step']],
  [
    'SGD with momentum',
    (model) => new SGD(model.trainableParameters(), { lr: 0.01, momentum: 0.9 }),
    ['momentum_buffer', 'step'],
  ],
  ['SGD', (model) => new SGD(model.trainableParameters(), { lr: 0.01 }), ['step']],
];

function attach(rt: Runtime): LoraModel<Sequential> {
  const model = new Sequential(new Linear(rt, 5, 7), new ReLU(), new Linear(rt, 7, 3));
  return LoraModel.attach(model, { r: 2, targetModules: 'all-linear', loraBias: true });
}

function train(
  rt: Runtime,
  model: LoraModel<Sequential>,
  optimizer: Optimizer,
  steps: readonly number[],
): void {
  for (const step of steps) {
    rt.scope(() => {
      const x = rt.tensor(
        Float32Array.from({ length: 20 }, (_, i) => Math.sin(i + step)),
        [4, 5],
      );
      const target = rt.tensor(
        Float32Array.from({ length: 12 }, (_, i) => Math.cos(i * step)),
        [4, 3],
      );
      mseLoss(model.forward(x), target).backward();
    });
    optimizer.step();
    optimizer.zeroGrad();
  }
}

const bitsOf = (model: Module): string =>
  JSON.stringify(
    model.namedParameters().map(([name, one]) => [name, [...new Uint32Array(one.bytes().buffer)]]),
  );

/** What a safetensors file gives back, as `importState` takes it. */
function read(bytes: Uint8Array): Map<string, NamedArray> {
  const file = parseSafetensors(bytes);
  return new Map(
    file.names.map((name) => [
      name,
      { shape: file.info(name).shape, data: file.array(name) as Float32Array },
    ]),
  );
}

describeRuntimes('state of an optimiser', (rt) => {
  describe.each(KINDS)('%s', (_title, make, parts) => {
    test('training goes on from an exported state with the same bits', () => {
      const whole = attach(rt());
      const optimizer = make(whole);
      train(rt(), whole, optimizer, [1, 2, 3]);
      const parameters = whole.stateDict();
      const file = writeSafetensors(optimizer.exportState(whole));
      train(rt(), whole, optimizer, [4, 5]);

      const resumed = attach(rt());
      resumed.loadStateDict(parameters);
      const second = make(resumed);
      // What it had before is gone.
      train(rt(), resumed, second, [9]);
      resumed.loadStateDict(parameters);
      second.importState(resumed, read(file));
      expect(second.exportState(resumed)).toEqual(
        new Map(
          [...read(file)].map(([name, { shape, data }]) => [
            name,
            { shape, data, dtype: name.endsWith('.step') ? 'I32' : 'F32' },
          ]),
        ),
      );
      train(rt(), resumed, second, [4, 5]);
      expect(bitsOf(resumed)).toBe(bitsOf(whole));
      expect(second.exportState(resumed)).toEqual(optimizer.exportState(whole));
    });

    test('every trained parameter has its arrays, and no frozen one', () => {
      const model = attach(rt());
      const optimizer = make(model);
      train(rt(), model, optimizer, [1, 2]);
      const state = optimizer.exportState(model);
      const trained = model.namedParameters().filter(([, one]) => one.requiresGrad);
      const names = trained.flatMap(([name]) => parts.map((part) => `${name}.${part}`));
      expect([...state.keys()].sort()).toEqual(names.sort());
      for (const [name, one] of trained) {
        for (const part of parts.slice(0, -1)) expect(state.get(`${name}.${part}`)!.shape).toEqual(one.shape);
        expect(state.get(`${name}.step`)).toEqual({ dtype: 'I32', shape: [], data: Int32Array.of(2) });
      }
      const moments = [...state].filter(([name]) => name.includes('lora_B') && !name.endsWith('.step'));
      for (const [name, { data }] of moments)
        expect(
          data.some((value) => value !== 0),
          name,
        ).toBe(true);
    });
  });

  test('a state that does not fit changes nothing, whatever is wrong with it', () => {
    const model = attach(rt());
    const optimizer = new AdamW(model.trainableParameters());
    train(rt(), model, optimizer, [1]);
    const before = optimizer.exportState(model);
    const name = '2.lora_B.default.weight';
    const wrong = (change: (state: Map<string, NamedArray>) => void): (() => void) => {
      const state = new Map<string, NamedArray>(
        [...before].map(([key, { shape, data }]) => [key, { shape, data: data.map((value) => value + 1) }]),
      );
      change(state);
      return () => optimizer.importState(model, state);
    };
    expect(wrong((state) => state.delete(`${name}.exp_avg`))).toThrow(
      `AdamW.importState: missing ['${name}.exp_avg'], unexpected [], expected the state of this optimizer`.replaceAll(
        "'",
        '',
      ),
    );
    expect(wrong((state) => state.set('more', { shape: [], data: [1] }))).toThrow('unexpected [more]');
    expect(
      wrong((state) => state.set(`${name}.exp_avg_sq`, { shape: [2, 3], data: new Float32Array(6) })),
    ).toThrow(`AdamW.importState: ${name}.exp_avg_sq is [2, 3] with 6 elements, expected [3, 2]`);
    expect(wrong((state) => state.set(`${name}.step`, { shape: [], data: [1.5] }))).toThrow(
      `AdamW.importState: ${name}.step`,
    );
    expect(wrong((state) => state.set(`${name}.step`, { shape: [], data: [-1] }))).toThrow(
      `AdamW.importState: ${name}.step is -1, expected an integer from 0`,
    );
    expect(() => optimizer.importState(model, 7 as never)).toThrow(
      'AdamW.importState: state is 7, expected a Map or a plain object',
    );
    expect(optimizer.exportState(model)).toEqual(before);
  });

  test('names come from the model or from pairs, and a parameter without one is refused', () => {
    const model = attach(rt());
    const optimizer = new SGD(model.trainableParameters());
    expect(optimizer.exportState(model.namedParameters())).toEqual(optimizer.exportState(model));
    expect(() => optimizer.exportState(new Linear(rt(), 2, 2))).toThrow(
      'SGD.exportState: a parameter [2, 5] of the optimizer has no name, expected the model that it trains',
    );
    const [first] = model.trainableParameters();
    expect(() => new SGD([first!]).exportState([['a', 7 as never]])).toThrow('has no name');
    expect(() => optimizer.exportState([7 as never])).toThrow('SGD.exportState: entry 0 of model is 7');
    expect(() => optimizer.exportState(null as never)).toThrow('SGD.exportState: model is null');
    const broken = { [Symbol.iterator]: () => null } as never;
    expect(() => optimizer.exportState(broken)).toThrow('SGD.exportState: model could not be gone through');
    const same = model.trainableParameters().map((one): [string, typeof one] => ['same', one]);
    expect(() => optimizer.exportState(same)).toThrow("SGD.exportState: two parameters are named 'same'");
    optimizer.dispose();
    expect(() => optimizer.exportState(model)).toThrow('SGD.exportState: used after dispose()');
  });
});
