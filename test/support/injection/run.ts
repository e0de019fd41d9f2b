/** Runs one injection scenario and says what was not as it must be. For `injection.test.ts` and `test/hostile`. */
import { createRuntime, type Runtime } from '../../../src/index.js';
import { failEachAllocation } from '../failing-allocator.js';
import { type Draw, type Scenario, stateOf, textOf, warmScratch } from './scenario.js';

/** What a scenario came to. */
export interface Outcome {
  /** Errors that were injected. */
  readonly injected: number;
  /** What differs, in words; empty where everything held. */
  readonly faults: readonly string[];
}

/** Kernels, compiled once for all runtimes. */
export type MakeRuntime = () => Promise<Runtime>;

/** A maker of runtimes of one thread and one seed, whose kernels are compiled once. */
export async function runtimesOf(wasm: WebAssembly.Module, seed = 3): Promise<MakeRuntime> {
  return () => createRuntime({ kernels: 'simd', threads: 1, seed, wasm });
}

/**
 * Two runtimes in one state, on which scenario after scenario runs: what one has made stays, held here, so that nothing of it is
 * given back between two looks at the memory. New ones come after some scenarios, and after a fault.
 */
export class Pair {
  calm!: Runtime;
  rt!: Runtime;
  readonly #make: MakeRuntime;
  #held: unknown[] = [];
  #left = 0;

  constructor(make: MakeRuntime) {
    this.#make = make;
  }

  /** Before a scenario. */
  async ready(): Promise<void> {
    if (this.#left-- > 0) return;
    this.dispose();
    [this.calm, this.rt] = [await this.#make(), await this.#make()];
    for (const rt of [this.calm, this.rt]) warmScratch(rt);
    this.#left = SCENARIOS_EACH - 1;
  }

  hold(...made: unknown[]): void {
    this.#held.push(...made);
  }

  /** The next scenario gets new ones. */
  spoil(): void {
    this.#left = 0;
  }

  dispose(): void {
    this.calm?.dispose();
    this.rt?.dispose();
    this.#held = [];
  }
}

/** Making a runtime takes longer than most scenarios. */
const SCENARIOS_EACH = 25;

/** The first lines that differ, in short. */
function difference(what: string, found: readonly string[], wanted: readonly string[]): string[] {
  if (found.length !== wanted.length) return [`${what}: ${found.length} lines, expected ${wanted.length}`];
  const at = found.findIndex((line, i) => line !== wanted[i]);
  if (at < 0) return [];
  return [`${what}: ${found[at]!.slice(0, 200)}, expected ${wanted[at]!.slice(0, 200)}`];
}

/**
 * Lets each allocation of the call fail in turn. After every error the state must be as before the call; what the call gives at
 * last, and the state that it leaves, must be those of an undisturbed run from the same start.
 * @param draw - makes the same sizes and choices at each call
 */
export async function inject(scenario: Scenario, pair: Pair, draw: () => Draw): Promise<Outcome> {
  await pair.ready();
  const { calm, rt } = pair;
  const wanted = await scenario.build(calm, draw());
  const calmResult = await wanted.run();
  const wantedResult = textOf(calmResult);
  const wantedState = textOf(wanted.holders);

  const { holders, run, versions } = await scenario.build(rt, draw());
  const before = stateOf(rt, holders, versions);
  const faults: string[] = [];
  let result: unknown;
  let injected = 0;
  await failEachAllocation(
    rt,
    async () => {
      result = await run();
    },
    (failedAt) => {
      injected++;
      const found = difference(`after allocation ${failedAt} failed`, stateOf(rt, holders, versions), before);
      if (faults.length < 3) faults.push(...found);
    },
  );
  faults.push(...difference('result of the retry', textOf(result), wantedResult));
  faults.push(...difference('state after the retry', textOf(holders), wantedState));
  pair.hold(wanted, calmResult, holders, run, result);
  if (faults.length > 0) pair.spoil();
  return { injected, faults };
}
