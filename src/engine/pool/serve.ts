/**
 * A worker's side of the pool: its own instance of the kernels over the shared memory, then claim, compute, wait, for ever.
 * It never returns while the pool lives and reads no messages: the caller ends it by `terminate`. Called by
 * `worker.ts`.
 */
import { abortIn } from '../abort.js';
import {
  ASLEEP,
  argumentsOf,
  claim,
  controlOf,
  DONE,
  FAILED,
  KERNEL,
  kernelNames,
  TICKET,
  type WorkerMessage,
  type WorkerStart,
} from './protocol.js';

type Kernel = (...values: number[]) => unknown;

/** Milliseconds that a worker stays awake for the next job: a wake-up costs tens of microseconds, and a step's next product comes soon. */
const AWAKE = 0.1;
/** Looks at the ticket between two looks at the clock. */
const LOOKS = 500;

/** Serves jobs until the thread is ended or a kernel traps. */
export function serve(start: WorkerStart, say: (message: WorkerMessage) => void): void {
  const control = controlOf(start.control);
  const { words } = control;
  let share = -1;
  try {
    const { exports } = new WebAssembly.Instance(start.module, {
      env: { memory: start.memory, abort: abortIn(start.memory) },
    });
    const kernels = kernelNames(start.module).map((name) => exports[name] as Kernel);
    say({ ready: true });
    for (;;) {
      const seen = Atomics.load(words, TICKET);
      share = claim(words);
      if (share < 0) {
        rest(words, seen);
        continue;
      }
      kernels[words[KERNEL]!]!(...argumentsOf(control, share, start.participant));
      finish(words);
    }
  } catch (error) {
    if (share >= 0) {
      Atomics.store(words, FAILED, share + 1);
      Atomics.notify(words, DONE);
    }
    say({ failed: error instanceof Error ? error.message : String(error) });
  }
}

/** Counts a share as done and wakes the caller at the last one. */
function finish(words: Int32Array): void {
  const done = Atomics.add(words, DONE, 1) + 1;
  if (done === ((Atomics.load(words, TICKET) >> 8) & 255)) Atomics.notify(words, DONE);
}

/** Returns when the ticket is another than `seen`, or a little earlier. */
function rest(words: Int32Array, seen: number): void {
  const until = performance.now() + AWAKE;
  do {
    for (let i = 0; i < LOOKS; i++) if (Atomics.load(words, TICKET) !== seen) return;
  } while (performance.now() < until);
  Atomics.add(words, ASLEEP, 1);
  Atomics.wait(words, TICKET, seen);
  Atomics.sub(words, ASLEEP, 1);
}
