/** `createRuntime` where the engine or the process has no room: it says so, and nothing dies uncatchably. */
import { spawnSync } from 'node:child_process';
import { platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { createRuntime, linear, OutOfMemoryError } from '../../src/index.js';

const { Memory } = WebAssembly;
afterEach(() => {
  WebAssembly.Memory = Memory;
});

/** Every memory that `refuses` speaks of cannot be reserved. @returns what was asked for */
function refuse(refuses: (asked: WebAssembly.MemoryDescriptor) => boolean): WebAssembly.MemoryDescriptor[] {
  const asked: WebAssembly.MemoryDescriptor[] = [];
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      asked.push(descriptor);
      if (refuses(descriptor)) throw new RangeError('WebAssembly.Memory(): could not allocate memory');
      super(descriptor);
    }
  };
  return asked;
}

describe('an engine', () => {
  test('without room for any memory is an OutOfMemoryError that says what to do', async () => {
    const asked = refuse(() => true);
    for (const options of [{ threads: 2 }, { threads: 1 }, { threads: 2, maxMemoryMB: 64 }]) {
      const error = await createRuntime(options).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(OutOfMemoryError);
      expect((error as Error).message).toBe(
        "createRuntime: the engine could not reserve a memory (WebAssembly.Memory(): could not allocate memory): dispose of other runtimes, or raise the process's limit of address space",
      );
      expect((error as Error).cause).toBeInstanceOf(RangeError);
    }
    expect(asked.length).toBe(4 + 1 + 1 + 1 + 1);
  });

  test('with room for a smaller shared memory gives that, with its threads', async () => {
    refuse(({ shared, maximum }) => shared === true && maximum! > 16384);
    using rt = await createRuntime({ threads: 2 });
    expect(rt.info()).toMatchObject({ threads: 2, maxMemoryMB: 1024 });
    expect(() => rt.zeros([2 ** 28])).toThrow('maxMemoryMB 1024');
    expect(linear(rt.full([200, 300], 2), rt.full([250, 300], 3)).toArray()[7]).toBe(1800);
  });

  test('without room for the shared memory that was asked for computes on one thread and says why', async () => {
    refuse(({ shared }) => shared === true);
    using rt = await createRuntime({ threads: 2, maxMemoryMB: 3000 });
    expect(rt.info()).toMatchObject({ threads: 1, maxMemoryMB: 3000 });
    expect(rt.info().threadsReason).toContain('could not reserve a memory for threads');
  });
});

test('a RangeError of the function that gives the kernels is its own', async () => {
  const wasm = (): never => {
    throw new RangeError('mine');
  };
  await expect(createRuntime({ threads: 2, wasm })).rejects.toThrow(new RangeError('mine'));
});

// A limit in KiB: too small for any memory, for a worker, for a second runtime, for the memory of fetch's parser.
describe.skipIf(platform() !== 'linux')('under a limit of address space', () => {
  const entry = new URL('../../dist/index.js', import.meta.url).href;
  const script = `import { createRuntime, linear } from '${entry}';
    for (let i = 0; i < 3; i++) try {
      const rt = await createRuntime({ threads: 3 });
      console.log(linear(rt.full([200, 300], 2), rt.full([250, 300], 3)).toArray()[7]);
    } catch (error) { console.log(error.name); }`;
  test.each([8_000_000, 12_700_000, 14_000_000])('of %i KiB', (limit) => {
    const command = `ulimit -v ${limit}; exec "$0" --input-type=module -e "$1"`;
    const { status, signal, stdout, stderr } = spawnSync('sh', ['-c', command, process.execPath, script], {
      encoding: 'utf8',
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
    });
    expect(stderr).toBe('');
    expect({ status, signal }).toEqual({ status: 0, signal: null });
    expect(stdout).toMatch(/^((1800|OutOfMemoryError)\n){3}$/);
  });
});
