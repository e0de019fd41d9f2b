/**
 * The kernel calls of a training step, recorded once and made again with nothing between them: the part of a step that runs
 * inside WebAssembly. A replay works on the step's own memory. The blocks that a step takes are free again at its end, so
 * replays write over nothing as long as nobody takes a block for good after the recording; `check` refuses when somebody did.
 */
import type { Runtime } from 'lora-wasm';

/** One call of a kernel. */
interface KernelCall {
  readonly name: string;
  readonly kernel: (...args: number[]) => unknown;
  readonly args: readonly number[];
}

export interface Replay {
  readonly calls: readonly KernelCall[];
  /** Makes every call once, in order. */
  readonly run: () => void;
  /** Puts parameters and moments back: hundreds of steps on one batch end in moments too small for normal numbers, which are slow. */
  readonly reset: () => void;
  /** @throws Error when blocks were taken or given back since the recording */
  readonly check: () => void;
}

/** The kernel calls that `step` makes. */
export function recordCalls({ engine }: Runtime, step: () => void): KernelCall[] {
  const { kernels } = engine;
  const calls: KernelCall[] = [];
  const recording = Object.entries(kernels).map(([name, kernel]) => [
    name,
    (...args: number[]): unknown => {
      calls.push({ name, kernel, args });
      return kernel(...args);
    },
  ]);
  // Stands before the engine's own accessor until it is deleted.
  Object.defineProperty(engine, 'kernels', { value: Object.fromEntries(recording), configurable: true });
  try {
    step();
  } finally {
    Reflect.deleteProperty(engine, 'kernels');
  }
  return calls;
}

/**
 * Records a step of Adam on one thread, whose memory has reached its constant size, and verifies the replay: from the same
 * bytes it leaves the same bytes in the whole memory.
 * @throws Error when two steps make different calls, or when a replay leaves other bytes than its step
 */
export function recordReplay(rt: Runtime, step: () => void): Replay {
  const first = recordCalls(rt, step);
  const before = bytesOf(rt).slice();
  const calls = recordCalls(rt, step);
  const after = bytesOf(rt).slice();
  const names = (list: readonly KernelCall[]): string => list.map(({ name }) => name).join();
  if (names(first) !== names(calls))
    throw new Error(
      `recordReplay: one step makes ${first.length} kernel calls, the next ${calls.length}, expected the same`,
    );
  const run = (): void => {
    for (const { kernel, args } of calls) kernel(...args);
  };
  bytesOf(rt).set(before);
  run();
  if (!sameBytes(bytesOf(rt), after))
    throw new Error('recordReplay: the replay leaves other bytes than its step');
  const { held, blocks } = rt.memory();
  const check = (): void => {
    const now = rt.memory();
    if (now.held !== held || now.blocks !== blocks)
      throw new Error(`Replay: memory holds ${now.blocks} blocks, expected ${blocks} as at the recording`);
  };
  return { calls, run, reset: resetOf(rt, calls), check };
}

function bytesOf(rt: Runtime): Uint8Array {
  return new Uint8Array(rt.engine.memory.buffer);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Puts the values and moments of every `adamStep` back to what they are now. */
function resetOf(rt: Runtime, calls: readonly KernelCall[]): () => void {
  const kept = calls.flatMap(({ name, args }) => {
    if (name !== 'adamStep') return [];
    const [n, values, , first, second] = args as [number, number, number, number, number];
    return [values, first, second].map((pointer) => ({
      pointer,
      bytes: new Uint8Array(rt.engine.memory.buffer, pointer, 4 * n).slice(),
    }));
  });
  return () => {
    for (const { pointer, bytes } of kept) bytesOf(rt).set(bytes, pointer);
  };
}
