/** Values of another realm, as a `node:vm` context (and with it jsdom, or an iframe) makes them: arrays, maps, options, bytes. */
import { readFile } from 'node:fs/promises';
import { createContext, runInContext } from 'node:vm';
import { expect, test } from 'vitest';
import {
  createRuntime,
  Linear,
  LoraModel,
  mean,
  Sequential,
  type StateDict,
  type Tensor,
} from '../../src/index.js';
import { bytesOf, isBlob, isMap, isSet, typedArrayName, urlOf } from '../../src/values/kind.js';

const context = createContext({});
const foreign = <T>(source: string): T => runInContext(`(${source})`, context) as T;
const rt = await createRuntime({ kernels: 'simd', threads: 1 });

test('typed arrays of another realm are what they are', () => {
  const ids = foreign<Int32Array>('Int32Array.of(1, 2)');
  expect(ids).not.toBeInstanceOf(Int32Array);
  expect(rt.tensor(ids).dtype).toBe('i32');
  expect([...rt.tensor(foreign<Float32Array>('Float32Array.of(0.5, 2)')).toArray()]).toEqual([0.5, 2]);
  expect([...rt.tensor(foreign<BigInt64Array>('BigInt64Array.of(3n)')).toArray()]).toEqual([3]);
  const target = foreign<Float32Array>('new Float32Array(2)');
  expect(rt.tensor([1, 2]).copyTo(target)).toBe(target);
  expect([...target]).toEqual([1, 2]);
});

test('options, shapes and axes of another realm are taken', () => {
  const x = rt.zeros(foreign<number[]>('[2, 3]'), foreign("({ dtype: 'f32' })"));
  expect(mean(x, foreign<number[]>('[0]'), foreign('({ keepDims: true })')).shape).toEqual([1, 3]);
  const lora = LoraModel.attach(
    new Sequential(new Linear(rt, 3, 2)),
    foreign("({ r: 1, targetModules: ['0'] })"),
  );
  expect(lora.adapters).toEqual(['default']);
});

test("an adapter's files of another realm are loaded", async () => {
  const net = (): Sequential => new Sequential(new Linear(rt, 3, 2));
  const lora = LoraModel.attach(net(), { r: 1, targetModules: ['0'] });
  const files = lora.exportAdapter();
  const bytes = (own: Uint8Array): Uint8Array =>
    foreign<(values: number[]) => Uint8Array>('(values) => Uint8Array.from(values)')([...own]);
  const [config, weights] = [bytes(files['adapter_config.json']), bytes(files['adapter_model.safetensors'])];
  const other = LoraModel.attach(net());
  await other.loadAdapter('files', {
    'adapter_config.json': config,
    'adapter_model.safetensors': weights,
  } as never);
  const text = new TextDecoder().decode(files['adapter_config.json']);
  await other.loadAdapter('buffer', {
    config: foreign<object>(text),
    weights: weights.buffer as ArrayBuffer,
  });
  expect(other.adapters).toEqual(['files', 'buffer']);
});

test('kernels are made of bytes of another realm', async () => {
  const path = new URL('../../build/simd.wasm', import.meta.url);
  const copy = foreign<(values: Uint8Array) => Uint8Array>('(values) => Uint8Array.from(values)');
  const wasm = copy(await readFile(path));
  expect(wasm).not.toBeInstanceOf(Uint8Array);
  using made = await createRuntime({ kernels: 'simd', threads: 1, wasm });
  expect(made.full([1], 3).item()).toBe(3);
});

test('state dicts of another realm, as Maps and as objects, are loaded', () => {
  const net = new Linear(rt, 1, 2);
  const entries =
    '{ weight: { shape: [2, 1], data: Float32Array.of(3, 4) }, bias: { shape: [2], data: [5, 6] } }';
  net.loadStateDict(foreign<Record<string, never>>(`(${entries})`));
  expect(net.parameters().flatMap((parameter) => [...parameter.toArray()])).toEqual([3, 4, 5, 6]);
  net.loadStateDict(foreign<StateDict>(`new Map(Object.entries(${entries.replace('5, 6', '7, 8')}))`));
  expect([...net.bias!.toArray()]).toEqual([7, 8]);
});

test("tensors in another realm's containers leave a scope alive", () => {
  for (const put of ['(t) => ({ t })', '(t) => new Map([[1, t]])', '(t) => new Set([t])', '(t) => [t]']) {
    let kept: Tensor | null = null;
    rt.scope(() => {
      kept = rt.zeros([1]);
      return foreign<(t: Tensor) => unknown>(put)(kept);
    });
    expect(kept!.disposed).toBe(false);
  }
});

test('what is asked of a value is answered for both realms, and a likeness is not taken for the thing', () => {
  for (const [own, other] of [
    [isMap(new Map()), isMap(foreign('new Map()'))],
    [isSet(new Set()), isSet(foreign('new Set()'))],
    [bytesOf(Uint8Array.of(1, 2).subarray(1)), bytesOf(foreign('Uint8Array.of(1, 2).subarray(1)'))],
    [bytesOf(Uint8Array.of(1, 2).buffer), bytesOf(foreign('Uint8Array.of(1, 2).buffer'))],
  ]) {
    expect(own).toBeTruthy();
    expect(other).toEqual(own);
  }
  expect(isMap({ [Symbol.toStringTag]: 'Map' })).toBe(false);
  expect(isMap(Object.create(Map.prototype))).toBe(false);
  expect(typedArrayName({ [Symbol.toStringTag]: 'Float32Array' })).toBeNull();
  expect(bytesOf(Int8Array.of(1))).toBeNull();
  expect(urlOf({ [Symbol.toStringTag]: 'URL', href: 'https://a.example/b' })?.href).toBe(
    'https://a.example/b',
  );
  expect(urlOf('https://a.example/b')).toBeNull();
  expect(isBlob(new Blob([]))).toBe(true);
  expect(isBlob({ size: 0 })).toBe(false);
});
