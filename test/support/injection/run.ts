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
export async function inject(scenario: Scenario, make: MakeRuntime, draw: () => Draw): Promise<Outcome> {
  using calm = await make();
  warmScratch(calm);
  const wanted = await scenario.build(calm, draw());
  const wantedResult = textOf(await wanted.run());
  const wantedState = textOf(wanted.holders);

  using rt = await make();
  warmScratch(rt);
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
  return { injected, faults };
}
