/** The allocator under random use: blocks never overlap, marks stay, neighbours join again, limits hold. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Allocator } from '../../src/engine/allocator.js';
import { OutOfMemoryError } from '../../src/engine/errors.js';

const MIB = 2 ** 20;
const START = 1000;

test('random blocks keep their marks, and all memory is free again at the end', () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 200_000 }));
  fc.assert(
    fc.property(fc.array(fc.record({ size, free: fc.nat() }), { maxLength: 120 }), (steps) => {
      const memory = new WebAssembly.Memory({ initial: 1 });
      const allocator = new Allocator(memory, START, 512 * MIB);
      const live: { pointer: number; bytes: number; mark: number }[] = [];
      const give = (i: number): void => {
        const [{ pointer, bytes, mark }] = live.splice(i, 1) as [(typeof live)[number]];
        const content = new Uint8Array(memory.buffer, pointer, bytes);
        expect(content.every((byte) => byte === mark)).toBe(true);
        allocator.free(pointer, bytes);
      };
      for (const [i, step] of steps.entries()) {
        const pointer = allocator.allocate(step.size);
        expect(pointer % 64).toBe(0);
        expect(pointer).toBeGreaterThanOrEqual(START);
        const mark = i % 251;
        new Uint8Array(memory.buffer, pointer, step.size).fill(mark);
        live.push({ pointer, bytes: step.size, mark });
        if (step.free % 2 === 1) give(step.free % live.length);
      }
      expect(allocator.use().blocks).toBe(live.length);
      while (live.length > 0) give(0);
      expect(allocator.use()).toMatchObject({ held: 0, blocks: 0 });
    }),
    { numRuns: 60 },
  );
});

test('the same blocks over and over need no more memory', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const allocator = new Allocator(memory, START, 512 * MIB);
  const round = (): void => {
    const sizes = [3 * MIB, 100, 70_000, 5 * MIB, 65_000];
    const pointers = sizes.map((bytes) => allocator.allocate(bytes));
    for (const i of [3, 0, 4, 2, 1]) allocator.free(pointers[i]!, sizes[i]!);
  };
  round();
  const { byteLength } = memory.buffer;
  for (let i = 0; i < 500; i++) round();
  expect(memory.buffer.byteLength).toBe(byteLength);
});

test('the limit holds, an error changes nothing, and the last page below 4 GiB is never given', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const allocator = new Allocator(memory, START, 20 * MIB);
  const first = allocator.allocate(10 * MIB);
  expect(() => allocator.allocate(11 * MIB)).toThrow(OutOfMemoryError);
  expect(memory.buffer.byteLength).toBeLessThanOrEqual(20 * MIB);
  expect(allocator.use().blocks).toBe(1);
  allocator.free(first, 10 * MIB);
  expect(allocator.allocate(18 * MIB)).toBe(first);
  const whole = new Allocator(new WebAssembly.Memory({ initial: 1 }), START, 2 ** 32);
  expect(() => whole.allocate(2 ** 32 - 65_536)).toThrow(/allowed 4294901760/);
});
