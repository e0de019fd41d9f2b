/** Right calls, and the same with one option spelt wrong, of a wrong kind, or in a Map: all of those have to be refused. */
import { areOptions } from './calls/options.js';
import type { Bench } from './run.js';
import { findTargets } from './targets.js';

/** What came of every right call and of every bent option. */
export interface OptionsOutcome {
  /** Right calls with options that no receiver took, with the error. */
  readonly wrongRight: readonly string[];
  /** Bent calls that passed in silence, or were refused by an error that does not name the call. */
  readonly faults: readonly string[];
  readonly calls: number;
}

/** @param chosen - whether a target is tried */
export async function tryOptions(bench: Bench, chosen: (name: string) => boolean): Promise<OptionsOutcome> {
  const wrongRight: string[] = [];
  const faults: string[] = [];
  let calls = 0;
  for (const target of findTargets(bench.world).filter(({ name }) => chosen(name))) {
    for (let nth = 0; nth < bench.rightCalls(target.name).length; nth++) {
      if ([...bends(bench.rightCalls(target.name)[nth]!)].length === 0) continue;
      const receiver = await bench.receiverOf(target, nth);
      if (receiver instanceof Error) {
        wrongRight.push(`${target.name}: ${receiver.message}`);
        continue;
      }
      for (let at = 0; ; at++) {
        // The right call of the world of now, bent at the same place.
        const bent = [...bends(bench.rightCalls(target.name)[nth]!)][at];
        if (bent === undefined) break;
        calls++;
        const { failed, fault } = await bench.give(target, receiver.name, bent.args);
        const shown = `${target.name} with ${bent.what}`;
        if (!failed) faults.push(`${shown} passed in silence`);
        else if (fault !== null) faults.push(`${shown}: ${fault}`);
      }
    }
  }
  return { wrongRight, faults, calls };
}

interface Bend {
  readonly what: string;
  readonly args: readonly unknown[];
}

function* bends(args: readonly unknown[]): Iterable<Bend> {
  for (const [i, part] of args.entries())
    for (const [what, value] of bentParts(part)) yield { what, args: args.with(i, value) };
}

/** A part of a call with one of the options in it bent. */
function* bentParts(part: unknown): Iterable<readonly [string, unknown]> {
  if (areOptions(part)) {
    yield ['an option that nobody knows', { ...part, noSuchOption: 1 }];
    yield ['a Map', new Map(Object.entries(part))];
    for (const key of Object.keys(part)) yield [`${key} a symbol`, { ...part, [key]: Symbol('s') }];
  } else if (Array.isArray(part)) {
    for (const [i, entry] of part.entries())
      for (const [what, value] of bentParts(entry)) yield [what, part.with(i, value)];
  } else if (part !== null && typeof part === 'object' && Object.getPrototypeOf(part) === Object.prototype) {
    for (const [key, entry] of Object.entries(part))
      for (const [what, value] of bentParts(entry)) yield [what, { ...part, [key]: value }];
  }
}
