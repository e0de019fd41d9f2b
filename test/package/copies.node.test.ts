/**
 * Two copies of the package in one process, `lora-wasm` and `lora-wasm/inline` as they are built: what one made and the other is
 * given is refused with a sentence that says so, wherever it comes in.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type * as Package from '../../src/index.js';

const load = (path: string): Promise<typeof Package> =>
  import(/* @vite-ignore */ new URL(`../../dist/${path}`, import.meta.url).href);
const here = await load('index.js');
const there = await load('inline/simd.js');

let rt: Package.Runtime;
let other: Package.Runtime;

beforeAll(async () => {
  rt = await here.createRuntime({ threads: 1 });
  other = await there.createRuntime({ threads: 1 });
});

afterAll(() => {
  rt.dispose();
  other.dispose();
});

/** A model of this copy with a layer of the other inside. */
function mixed(where: (layer: Package.Module) => object): Package.Module {
  class Mixed extends here.Module {
    readonly own = new here.Linear(rt, 2, 2);
    readonly held = where(new there.Linear(other, 2, 2));
    override forward(x: Package.Tensor): Package.Tensor {
      return this.own.forward(x);
    }
  }
  return new Mixed();
}

const GIVEN: Readonly<Record<string, () => unknown>> = {
  'a tensor to an operation': () => here.relu(other.zeros([2])),
  'a second tensor to an operation': () => here.add(rt.zeros([2]), other.zeros([2])),
  'a tensor to reshape': () => here.reshape(other.zeros([2]), [2, 1]),
  'a tensor to a layer': () => new here.Linear(rt, 2, 2).forward(other.zeros([1, 2])),
  'a tensor to rt.tensor': () => rt.tensor(other.zeros([2]) as never),
  'a tensor to Tensor.set': () => rt.zeros([2]).set(other.zeros([2])),
  'a gradient to Tensor.grad': () => {
    rt.zeros([2]).grad = other.zeros([2]);
  },
  'a gradient to backward': () => here.relu(rt.zeros([2], { requiresGrad: true })).backward(other.zeros([2])),
  'inputs to an operation of its own': () =>
    here.defineOperation({ name: 'own', forward: ({ x }) => ({ y: x! }), backward: () => ({}) })({
      x: other.zeros([2]),
    }),
  'an output of an operation of its own': () =>
    here.defineOperation({ name: 'own', forward: () => ({ y: other.zeros([2]) }), backward: () => ({}) })({
      x: rt.zeros([2]),
    }),
  'a runtime to a layer': () => new here.Linear(other, 2, 2),
  'a weight to a layer': () => new here.Linear(rt, 2, 2, { weight: new there.Linear(other, 2, 2).weight }),
  'a layer to Sequential': () => new here.Sequential(new there.Linear(other, 2, 2)),
  'a layer to LoraLinear': () => here.LoraLinear.from(new there.Linear(other, 2, 2)),
  'a model to LoraModel': () =>
    here.LoraModel.attach(new there.Sequential(new there.Linear(other, 2, 2)), {
      targetModules: 'all-linear',
    }),
  'a layer in a model of the other, among its parameters': () => mixed((layer) => layer).parameters(),
  'a layer in a list of a model, to LoraModel': () =>
    here.LoraModel.attach(
      mixed((layer) => [layer]),
      { targetModules: 'all-linear' },
    ),
  'parameters to an optimiser': () => new here.SGD(new there.Linear(other, 2, 2).parameters()),
  'a group of parameters to an optimiser': () =>
    new here.AdamW([{ parameters: new there.Linear(other, 2, 2).parameters() }]),
  'parameters to clipGradNorm': () => here.clipGradNorm(new there.Linear(other, 2, 2).parameters(), 1),
  'a tensor to a LoRA model, where options may stand': () =>
    here.LoraModel.attach(new here.Sequential(new here.Linear(rt, 2, 2)), {
      targetModules: 'all-linear',
    }).forward(other.zeros([1, 2])),
};

test.each(Object.keys(GIVEN))('refused, naming the other copy: %s', (name) => {
  let said: unknown;
  try {
    GIVEN[name]!();
  } catch (error) {
    said = error;
  }
  expect(String(said)).toMatch(
    /^TypeError: .* (Tensor|Runtime|Parameter|Linear|Sequential) of another copy of lora-wasm \(import all from one entry\)/,
  );
});

test('each copy takes its own', () => {
  expect(here.relu(rt.tensor([-1, 2])).toArray()).toEqual(new Float32Array([0, 2]));
  expect(there.relu(other.tensor([-1, 2])).toArray()).toEqual(new Float32Array([0, 2]));
});
