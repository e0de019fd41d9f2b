/** Errors injected into every allocation of random scenarios: random shapes, and random options of adapters over each net. */
import { readFile } from 'node:fs/promises';
import { Random } from '../../reference/random.js';
import type { LoraConfig } from '../../src/index.js';
import { LAYERS } from '../support/injection/layers.js';
import { configured, LORA } from '../support/injection/lora.js';
import { NETS } from '../support/injection/nets.js';
import { OPERATIONS } from '../support/injection/operations.js';
import { QUANTISED_WEIGHTS } from '../support/injection/quantised.js';
import { REST } from '../support/injection/rest.js';
import { inject, Pair, runtimesOf } from '../support/injection/run.js';
import type { Draw, Scenario } from '../support/injection/scenario.js';
import { type Row, type Section, said } from './section.js';

/** Sizes from half to twice the normal ones. */
function drawOf(random: Random): Draw {
  return {
    size(normal, step = 1) {
      const [low, high] = [Math.ceil(normal / 2 / step), Math.floor((normal * 2) / step)];
      return step * random.integer(Math.max(1, low), high);
    },
    choose: (options) => random.choose(options),
  };
}

/** Options of an adapter, drawn; not every combination is allowed on every net. */
function randomConfig(random: Random): Partial<LoraConfig> {
  const maybe = <T extends object>(options: T): Partial<T> => (random.next() < 0.35 ? options : {});
  return {
    r: 2 * random.integer(1, 2),
    loraAlpha: random.integer(1, 16),
    ...maybe({ loraDropout: random.next() * 0.8 }),
    ...maybe({ useDora: true }),
    ...maybe({ useRslora: true }),
    ...maybe({ loraBias: true }),
    ...maybe({ bias: random.choose(['all', 'lora_only'] as const) }),
    ...maybe({
      initLoraWeights: random.choose([
        false,
        'gaussian',
        'pissa',
        'pissa_niter_2',
        'olora',
        'orthogonal',
      ] as const),
    }),
  };
}

function randomScenario(random: Random): Scenario {
  const ready = [...OPERATIONS, ...LAYERS, ...REST, ...LORA, ...QUANTISED_WEIGHTS];
  return random.next() < 0.5
    ? random.choose(ready)
    : random.choose(configured(random.choose(NETS), randomConfig(random)));
}

export const memory: Section = {
  name: 'injected out-of-memory errors',
  share: 0.25,
  async run({ more, random }): Promise<Row[]> {
    const build = new URL('../../build/simd.wasm', import.meta.url);
    const wasm = await WebAssembly.compile(await readFile(build));
    const faults: string[] = [];
    let [scenarios, injected, refused, most] = [0, 0, 0, 0];
    while (more()) {
      const scenario = randomScenario(random);
      const seed = random.seed();
      const pair = new Pair(await runtimesOf(wasm, seed));
      try {
        const outcome = await inject(scenario, pair, () => drawOf(new Random(seed)));
        scenarios++;
        injected += outcome.injected;
        most = Math.max(most, outcome.injected);
        faults.push(...outcome.faults.map((fault) => `${scenario.title}, seed ${seed}: ${fault}`));
      } catch (error) {
        // Options that do not go together, or not with the net.
        if (error instanceof Error && /expected/.test(error.message) && error.name !== 'OutOfMemoryError')
          refused++;
        else faults.push(`${scenario.title}, seed ${seed}: ${said(error)}`);
      } finally {
        pair.dispose();
      }
    }
    const tried = `${injected} errors in ${scenarios} random scenarios (${refused} combinations of options refused)`;
    return [{ what: this.name, tried, faults, worst: `${most} allocations in one call` }];
  },
};
