/** Layers and parameters in arrays, Maps, Sets and plain objects, however deep: named, saved, adapted and given back. */
import { expect, test } from 'vitest';
import {
  createRuntime,
  Linear,
  LoraLinear,
  LoraModel,
  Module,
  type Runtime,
  type Tensor,
} from '../../src/index.js';
import { apart, stir, valuesOf } from '../support/layers.js';

class Nested extends Module {
  readonly blocks: Linear[][];
  readonly heads: Map<string, Linear>;
  readonly parts: { readonly query: Linear; readonly rest: { key: Linear[] } };
  readonly experts: Set<Linear>;
  readonly byNumber: Map<number, { gate: Linear }>;
  readonly scales: { all: Linear['weight'][] };
  readonly settings = { names: ['a', 'b'], sizes: new Map([[{}, 3]]), empty: null };

  constructor(rt: Runtime) {
    super();
    const make = (): Linear => new Linear(rt, 3, 3);
    this.blocks = [[make(), make()], [make()]];
    this.heads = new Map([
      ['en', make()],
      ['fr', make()],
    ]);
    this.parts = { query: make(), rest: { key: [make()] } };
    this.experts = new Set([make(), make()]);
    this.byNumber = new Map([[7, { gate: make() }]]);
    this.scales = { all: [make().weight] };
  }

  override forward(x: Tensor): Tensor {
    const { query, rest } = this.parts;
    const all = [
      ...this.blocks.flat(),
      ...this.heads.values(),
      ...[query, ...rest.key],
      ...this.experts,
      ...[...this.byNumber.values()].map(({ gate }) => gate),
    ];
    return all.reduce((value, layer) => layer.forward(value), x);
  }
}

const NAMES = [
  ...['blocks.0.0', 'blocks.0.1', 'blocks.1.0', 'heads.en', 'heads.fr', 'parts.query', 'parts.rest.key.0'],
  ...['experts.0', 'experts.1', 'byNumber.7.gate'],
];

test('layers are found by their keys and indices, in order, and their parameters with them', async () => {
  const rt = await createRuntime();
  const model = new Nested(rt);
  expect(model.namedModules().map(([name]) => name)).toEqual(['', ...NAMES]);
  const names = NAMES.flatMap((name) => [`${name}.weight`, `${name}.bias`]);
  expect([...model.stateDict().keys()]).toEqual(['scales.all.0', ...names]);
  model.eval();
  expect(model.heads.get('fr')!.training).toBe(false);
  model.loadStateDict(
    new Map(
      [...model.stateDict()].map(([name, array]) => [name, { ...array, data: array.data.map(() => 2) }]),
    ),
  );
  expect([...model.blocks[1]![0]!.weight.toArray()]).toEqual(Array(9).fill(2));
  expect(model.scales.all[0]!.toArray()[0]).toBe(2);
  rt.dispose();
});

test('such layers are frozen, adapted, loaded by name, and given back where they stood', async () => {
  const rt = await createRuntime();
  const model = new Nested(rt);
  const x = rt.normal([2, 3]).keep();
  const base = valuesOf(rt, model, x);
  const state = [...model.stateDict()];
  const lora = LoraModel.attach(model, { r: 2, targetModules: 'all-linear', bias: 'all' });
  expect(lora.report().wrapped).toEqual(NAMES);
  expect(model.scales.all[0]!.requiresGrad).toBe(false);
  for (const [, module] of lora.namedModules()) if (module instanceof LoraLinear) stir(rt, module);
  const on = valuesOf(rt, lora.eval(), x);
  expect(apart(on, base)).toBeGreaterThan(1e-3);
  const other = LoraModel.attach(new Nested(rt));
  other.loadStateDict(
    state.filter(([name]) => !name.includes('lora')).reduce((map, [k, v]) => map.set(k, v), new Map()),
  );
  await other.loadAdapter('default', lora.exportAdapter());
  other.setAdapter('default');
  expect(valuesOf(rt, other.eval(), x)).toEqual(on);
  expect([...lora.unload().stateDict()]).toEqual(state);
  expect([...model.experts].every((expert) => expert instanceof Linear)).toBe(true);
  expect(valuesOf(rt, model, x)).toEqual(base);
  rt.dispose();
});

class Circular extends Module {
  readonly fc: Linear;
  readonly list: unknown[] = [];
  readonly owner: { back?: Module; list?: unknown };
  readonly twice: unknown[];

  constructor(rt: Runtime) {
    super();
    this.fc = new Linear(rt, 3, 3);
    this.list.push(this.list, this, [this.list]);
    this.owner = { back: this, list: this.list };
    let nest: unknown[] = [new Linear(rt, 3, 3)];
    for (let i = 0; i < 60; i++) nest = [nest, nest];
    this.twice = nest;
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(x);
  }
}

test('circles and containers that are shared many times over are walked once', async () => {
  const rt = await createRuntime();
  const model = new Circular(rt);
  const deep = `twice${'.0'.repeat(61)}`;
  expect(model.namedModules().map(([name]) => name)).toEqual(['', 'fc', deep]);
  const lora = LoraModel.attach(model, { targetModules: 'all-linear' });
  expect(lora.report().wrapped).toEqual(['fc', deep]);
  lora.unload();
  expect(model.fc).toBeInstanceOf(Linear);
  rt.dispose();
});

class Holder extends Module {
  [key: string]: unknown;

  override forward(x: Tensor): Tensor {
    return x;
  }
}

test('a layer without a name of its own is an error that says where, in attach and stateDict', async () => {
  const rt = await createRuntime();
  const holder = (own: Record<string, unknown>): Holder => Object.assign(new Holder(), own);
  const layer = new Linear(rt, 2, 2);
  const cases = [
    [holder({ table: new Map([[{}, layer]]) }), 'a Map, table, under a key that is no string'],
    [holder({ table: new Map([[Symbol('a'), { deep: [layer] }]]) }), 'a Map, table'],
    [holder({ 'a.b': layer, a: { b: new Linear(rt, 2, 2) } }), "two modules are named 'a.b'"],
    [
      holder({
        a: new Map<unknown, unknown>([
          ['1', layer],
          [1, new Linear(rt, 2, 2)],
        ]),
      }),
      "two modules are named 'a.1'",
    ],
  ] as const;
  for (const [model, message] of cases) {
    expect(() => model.stateDict()).toThrow(message);
    expect(() => LoraModel.attach(model, { targetModules: 'all-linear' })).toThrow(message);
    expect(layer.weight.requiresGrad).toBe(true);
  }
  rt.dispose();
});

test('a place that cannot change refuses the adapter, and every layer stands where it stood', async () => {
  const rt = await createRuntime();
  const [first, shared] = [new Linear(rt, 2, 2), new Linear(rt, 2, 2)];
  const model = Object.assign(new Holder(), { first, shared, kept: Object.freeze([shared]) });
  const blocks = rt.engine.use().blocks;
  expect(() => LoraModel.attach(model, { targetModules: 'all-linear' })).toThrow(
    "LoraModel.attach: 'shared' stands where nothing can be put",
  );
  expect([model.first, model.shared, model.kept[0]]).toEqual([first, shared, shared]);
  expect(first.weight.requiresGrad).toBe(true);
  expect(rt.engine.use().blocks).toBe(blocks);
  rt.dispose();
});
