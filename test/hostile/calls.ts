/** Wrong calls of every export and public member, with anything; the test of manners, for longer and with other seeds. */
import { KNOWN_GAPS } from '../support/manners/known-gaps.js';
import { run } from '../support/manners/run.js';
import type { Row, Section } from './section.js';

/** Calls of each target between two looks at the clock. */
const RUNS = 20;

export const calls: Section = {
  name: 'wrong calls',
  share: 0.2,
  async run({ more, random }): Promise<Row[]> {
    const faults = new Map<string, string>();
    const gaps = new Set<string>();
    let [count, targets] = [0, 0];
    do {
      const outcome = await run({ seed: random.seed(), runs: RUNS });
      count += outcome.calls;
      targets = outcome.targets.length;
      for (const [name, fault] of outcome.faults) {
        if (KNOWN_GAPS.includes(name)) gaps.add(name);
        else if (!faults.has(name)) faults.set(name, fault);
      }
    } while (more());
    const tried = `${count} calls of ${targets} exports and members`;
    return [
      {
        what: this.name,
        tried,
        faults: [...faults.values()],
        worst: `${gaps.size} of ${KNOWN_GAPS.length} known gaps seen`,
      },
    ];
  },
};
