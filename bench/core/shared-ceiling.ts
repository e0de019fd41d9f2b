/**
 * The register-only loop of `assembly/ceiling.ts` on several threads at once: what a row of as many threads is held against. Its
 * helpers sleep between two calls; Node and a page start them each their own way.
 */
import { FLOPS_A_TURN, type Yardstick } from './peak.js';

/** Starts a script as a worker that gets one message, and gives what ends it. */
export type StartHelper = (script: string, message: unknown) => () => void;

const TURNS = 400_000;
const CALLS = 12;
/** Places in the flags. */
const [GO, DONE] = [0, 1];

/** Each turn of `flags[GO]` is a run of so many turns, told in `flags[DONE]`. Constants and warming are those of `Yardstick`. */
const HELPER = `
const begin = ({ module, flags, turns }) => {
  const abort = () => { throw new Error('ceiling.wasm: abort'); };
  const { memory, heapBase, multiplyAdds } = new WebAssembly.Instance(module, { env: { abort } }).exports;
  const at = Math.ceil((heapBase() >>> 0) / 128) * 128;
  const numbers = [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 3, 4, 5, 6, 7, 8, 9, 10];
  new Float32Array(memory.buffer, at, 16).set(numbers);
  for (let i = 0; i < 2000; i++) multiplyAdds(200, at, at + 64);
  for (let seen = 0; ; seen++) {
    Atomics.add(flags, ${DONE}, 1);
    Atomics.wait(flags, ${GO}, seen);
    multiplyAdds(turns, at, at + 64);
  }
};
if (typeof require === 'function') require('node:worker_threads').parentPort.once('message', begin);
else globalThis.onmessage = ({ data }) => begin(data);
`;

export class SharedCeiling {
  readonly #own: Yardstick;
  readonly #flags = new Int32Array(new SharedArrayBuffer(8));
  readonly #ends: (() => void)[] = [];

  private constructor(own: Yardstick) {
    this.#own = own;
  }

  /** Ready when all helpers are. */
  static async start(
    module: WebAssembly.Module,
    own: Yardstick,
    threads: number,
    startHelper: StartHelper,
  ): Promise<SharedCeiling> {
    const ceiling = new SharedCeiling(own);
    const message = { module, flags: ceiling.#flags, turns: TURNS };
    for (let i = 1; i < threads; i++) ceiling.#ends.push(startHelper(HELPER, message));
    while (Atomics.load(ceiling.#flags, DONE) < threads - 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return ceiling;
  }

  /** GFLOP/s of all threads together: the best of several calls, each as long as its slowest thread. */
  measure(): number {
    const helpers = this.#ends.length;
    let shortest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < CALLS; i++) {
      Atomics.store(this.#flags, DONE, 0);
      const start = performance.now();
      Atomics.add(this.#flags, GO, 1);
      Atomics.notify(this.#flags, GO);
      this.#own.multiplyAdds(TURNS);
      while (Atomics.load(this.#flags, DONE) < helpers);
      shortest = Math.min(shortest, performance.now() - start);
    }
    return (FLOPS_A_TURN * TURNS * (helpers + 1)) / shortest / 1e6;
  }

  close(): void {
    for (const end of this.#ends) end();
  }
}
