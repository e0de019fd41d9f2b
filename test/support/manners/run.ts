/** Calls every target with wrong arguments and gathers what is wrong with the answers. For the test, and for longer runs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Tensor } from '../../../src/tensor/tensor.js';
import { fileCalls } from './calls/files.js';
import type { Calls } from './calls/options.js';
import { validCalls } from './calls.js';
import { faultOf } from './judge.js';
import { exportedClasses, findTargets, type Target } from './targets.js';
import { argumentsOf, type Plan, plans } from './values.js';
import { type World, Worlds } from './world.js';

/** What a run found, and how much it did. */
export interface Outcome {
  readonly targets: readonly string[];
  readonly calls: number;
  /** The first fault of each target: its name, what is wrong, and the smallest call that shows it. */
  readonly faults: ReadonlyMap<string, string>;
}

export interface RunOptions {
  readonly seed: number;
  /** Calls of each target. */
  readonly runs: number;
  /** Whether a target is called. */
  readonly chosen?: (name: string) => boolean;
}

/** Calls everything `runs` times. */
export async function run({ seed, runs, chosen = () => true }: RunOptions): Promise<Outcome> {
  await using bench = await Bench.open();
  const targets = findTargets(bench.world).filter(({ name }) => chosen(name));
  const names = Object.keys(bench.world.objects.byName);
  const faults = new Map<string, string>();
  let calls = 0;
  for (const target of targets) {
    const property = fc.asyncProperty(plans(names), fc.nat(), async (plan, nth) => {
      calls++;
      const fault = await bench.call(target, plan, nth);
      if (fault !== null) throw new Error(fault);
    });
    const found = await fc.check(property, { seed, numRuns: runs });
    if (found.failed)
      faults.set(
        target.name,
        `${messageOf(found.errorInstance)}; seed ${seed}, path ${found.counterexamplePath}`,
      );
  }
  return { targets: targets.map(({ name }) => name), calls, faults };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A world and its right calls, made anew after every call that may have changed it. */
export class Bench {
  world: World;
  #calls: Calls;
  readonly #files: Calls;
  readonly #worlds: Worlds;
  readonly #folder: string;

  private constructor(worlds: Worlds, world: World, files: Calls, folder: string) {
    this.#worlds = worlds;
    this.world = world;
    this.#files = files;
    this.#calls = validCalls(world, files, folder);
    this.#folder = folder;
  }

  static async open(): Promise<Bench> {
    const folder = await mkdtemp(join(tmpdir(), 'lora-wasm-manners-'));
    const worlds = new Worlds();
    const world = await worlds.next();
    return new Bench(worlds, world, await fileCalls(world, folder), folder);
  }

  /** @returns what is wrong with the answer, or null */
  async call(target: Target, plan: Plan, nth: number): Promise<string | null> {
    const receiver = target.receivers[nth % Math.max(target.receivers.length, 1)];
    return (await this.give(target, receiver, argumentsOf(this.world, plan, this.rightCalls(target.name))))
      .fault;
  }

  /** Calls, and looks at what was thrown and at the memory that is held then. */
  async give(
    target: Target,
    receiver: string | undefined,
    given: readonly unknown[],
  ): Promise<{ readonly failed: boolean; readonly thrown: unknown; readonly fault: string | null }> {
    const args = given.map((value, i) => {
      if (PATHS.get(target.name) === i) return this.#within(value);
      return CALLERS.get(target.name) === i && typeof value === 'string' ? value.slice(0, 50) : value;
    });
    const { engine } = this.world.rt;
    // A receiver that is made now takes memory too.
    if (receiver !== undefined) this.world.objects.get(receiver);
    const held = engine.use().blocks;
    let thrown: unknown;
    let failed = false;
    try {
      const answer: unknown = await target.call(this.world, receiver, args);
      if (answer !== null && typeof answer === 'object' && Symbol.asyncDispose in answer)
        await (answer as AsyncDisposable)[Symbol.asyncDispose]();
    } catch (error) {
      [thrown, failed] = [error, true];
    }
    const more = failed && !engine.disposed ? engine.use().blocks - held : 0;
    const leak = more > 0 ? `failed and holds ${more} blocks more than before` : null;
    const caller = args[CALLERS.get(target.name) ?? -1];
    const called = [...target.called(this.world, receiver), ...(typeof caller === 'string' ? [caller] : [])];
    const wrong = failed ? (faultOf(target.name, called, thrown) ?? leak) : null;
    if (!failed || more > 0) await this.#renew();
    const fault =
      wrong === null ? null : `${receiver ?? ''} ${target.name}(${args.map(show).join(', ')}) ${wrong}`;
    return { failed, thrown, fault };
  }

  rightCalls(name: string): readonly (readonly unknown[])[] {
    return this.#calls[name]?.() ?? [];
  }

  /** The first receiver that takes the target's right call `nth`, or the error of the last one. */
  async receiverOf(target: Target, nth: number): Promise<{ readonly name: string | undefined } | Error> {
    let last = new Error('no receiver');
    for (const name of target.receivers.length === 0 ? [undefined] : target.receivers) {
      const { failed, thrown } = await this.give(target, name, this.rightCalls(target.name)[nth]!);
      if (!failed) return { name };
      if (thrown instanceof Error) last = thrown;
    }
    return last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worlds.end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Text as the name of a file in the folder of this run. */
  #within(value: unknown): unknown {
    if (typeof value !== 'string' || value.startsWith(this.#folder)) return value;
    return join(this.#folder, encodeURIComponent(value.slice(0, 50)));
  }

  async #renew(): Promise<void> {
    this.world = await this.#worlds.next();
    this.#calls = validCalls(this.world, this.#files, this.#folder);
  }
}

/** Which argument is a path that is written to or opened: any text there becomes a name in a folder of the run. */
const PATHS = new Map([
  ['writeAtomic', 0],
  ['saveAdapter', 2],
  ['folderStore', 0],
  ['openSafetensorsFile', 0],
]);

/** Which argument says what errors are to begin with. */
const CALLERS = new Map([['openGguf', 0]]);

function show(value: unknown): string {
  if (value instanceof Tensor) return `${value}${value.disposed ? ' disposed' : ''}`;
  try {
    const name = value !== null && typeof value === 'object' ? value.constructor?.name : undefined;
    const own = name !== undefined && exportedClasses().some(([known]) => known === name);
    return own || name === 'Runtime' ? `a ${name}` : fc.stringify(value).slice(0, 120);
  } catch {
    return 'what cannot be shown';
  }
}
