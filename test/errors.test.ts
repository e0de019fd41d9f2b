/** Every message of bad input: where, what it got, what it expected. */
import { describe, expect, test } from 'vitest';
import { createRuntime, Linear, type Runtime } from '../src/index.js';
import { twoLayers, wrongLayers } from './support/bad-input/layers.js';
import { wrongTensors } from './support/bad-input/tensors.js';
import { wrong } from './support/wrong.js';

const rt: Runtime = await createRuntime({ kernels: 'simd' });
const layer = new Linear(rt, 784, 10);

describe('bad input', () => {
  test.each([...wrongTensors(rt), ...wrongLayers(rt, layer)])('%s', (_, act, words) => {
    const before = layer.weight.toArray();
    let thrown: unknown = null;
    try {
      act();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(Error);
    expect((thrown as Error).message).toContain(words);
    expect(layer.weight.toArray()).toEqual(before);
  });

  test.each([
    [{ kernels: 'fast' }, "createRuntime: kernels is 'fast', expected 'auto', 'simd' or 'relaxed-simd'"],
    [{ seed: -1 }, 'createRuntime: seed is -1, expected an integer from 0'],
    [{ maxMemoryMB: 5000 }, 'createRuntime: maxMemoryMB is 5000, expected an integer from 1 to 4095'],
    [{ threads: 'all' }, "createRuntime: threads is 'all', expected 'auto' or a number from 1 to 32"],
    [{ threads: 0 }, 'createRuntime: threads is 0, expected an integer from 1 to 32'],
    [{ thread: 2 }, "createRuntime: unknown option 'thread'"],
    [{ wasm: 7 }, 'wasm is 7, expected bytes, a URL, a string, a WebAssembly.Module or a function'],
  ])('createRuntime(%j)', async (options, words) => {
    await expect(createRuntime(wrong(options))).rejects.toThrow(words);
  });

  test('a state dict that does not fit changes nothing', () => {
    const net = twoLayers(rt);
    const state = net.stateDict();
    const broken = new Map<string, { shape: readonly number[]; data: ArrayLike<number> }>(state);
    broken.set('1.bias', { shape: [3], data: [1, 2, 3] });
    broken.set('0.weight', { shape: [3, 4], data: new Float32Array(12) });
    expect(() => net.loadStateDict(broken)).toThrow('1.bias is [3] with 3 elements, expected [2]');
    expect(net.stateDict()).toEqual(state);
    broken.delete('1.bias');
    expect(net.loadStateDict(broken, { strict: false })).toEqual({ missing: ['1.bias'], unexpected: [] });
  });
});
