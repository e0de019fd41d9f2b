/**
 * Damaged files of every format for as long as there is time (`support/mutate.ts` says how they are damaged, and what is asked of
 * reading one); a model that refuses one is as before.
 */
import type { Random } from '../../reference/random.js';
import { FormatError } from '../../src/formats/index.js';
import {
  AdapterError,
  createRuntime,
  Linear,
  LoraModel,
  OutOfMemoryError,
  Sequential,
} from '../../src/index.js';
import { stateOf } from '../support/injection/scenario.js';
import { damaged, readingOf, type Sound, soundAdapters } from '../support/mutate.js';
import { milliseconds, type Row, type Section, said } from './section.js';

/** What is wrong with an error; null for one of the package that says where. */
function faultOf(error: unknown): string | null {
  const known =
    error instanceof FormatError || error instanceof AdapterError || error instanceof OutOfMemoryError;
  if (!known) return `${said(error)} is no error of the package`;
  if (error.message.length > 2100) return `a message of ${error.message.length} characters`;
  return null;
}

function readersRow(sound: Sound): { row: () => Row; turn: (random: Random) => Promise<void> } {
  const faults: string[] = [];
  let [tried, slowest] = [0, 0];
  return {
    async turn(random) {
      const file = damaged(sound, random);
      const begin = performance.now();
      const { fault } = await readingOf(file);
      slowest = Math.max(slowest, performance.now() - begin);
      tried++;
      if (fault !== null && faults.length < 50) {
        const config =
          file.config === null ? '' : `, config ${Buffer.from(file.config).toString('base64').slice(0, 600)}`;
        faults.push(
          `${fault}; weights ${Buffer.from(file.weights).toString('base64').slice(0, 600)}${config}`,
        );
      }
    },
    row: () => ({
      what: `damaged files, ${sound.name}`,
      tried: `${tried} files`,
      faults,
      worst: `${milliseconds(slowest)} for a file of ${sound.weights.length} bytes`,
    }),
  };
}

/** Damaged adapters into one model, which must be as before. */
async function modelRow(more: () => boolean, random: Random): Promise<Row> {
  using rt = await createRuntime({ threads: 1 });
  const model = new Sequential(new Linear(rt, 6, 5), new Linear(rt, 5, 4));
  const lora = LoraModel.attach(model, { r: 2, targetModules: ['0', '1'], bias: 'all' }, 'first');
  const files = lora.exportAdapter('first');
  const faults: string[] = [];
  let [tried, loaded] = [0, 0];
  const sound = {
    name: 'PEFT',
    weights: files['adapter_model.safetensors'],
    config: files['adapter_config.json'],
  };
  await lora.loadAdapter('warm', files);
  lora.deleteAdapter('warm');
  while (more()) {
    const { weights, config } = damaged(sound, random);
    const before = stateOf(rt, [lora]);
    tried++;
    try {
      await lora.loadAdapter('next', {
        'adapter_model.safetensors': Uint8Array.from(weights),
        'adapter_config.json': Uint8Array.from(config!),
      });
      lora.deleteAdapter('next');
      loaded++;
    } catch (error) {
      const fault = faultOf(error);
      if (fault !== null) faults.push(fault);
      const after = stateOf(rt, [lora]);
      const at = after.findIndex((line, i) => line !== before[i]);
      if (at >= 0) faults.push(`after '${said(error)}': ${after[at]}, expected ${before[at]}`);
    }
  }
  return {
    what: 'damaged files, into a model',
    tried: `${tried} files, ${loaded} of them loaded`,
    faults: faults.slice(0, 50),
    worst: 'the model as before',
  };
}

export const files: Section = {
  name: 'damaged files',
  share: 0.2,
  async run({ more, random }): Promise<Row[]> {
    const readers = (await soundAdapters()).map(readersRow);
    const begin = performance.now();
    let turns = 0;
    // Four fifths for the readers, as long as there is time at all.
    const batch = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) for (const { turn } of readers) await turn(random);
      turns++;
    };
    await batch();
    const each = (performance.now() - begin) / turns;
    const modelTime = 16 * each;
    const rows: Row[] = [];
    let model: Row | null = null;
    while (more()) {
      await batch();
      if (model !== null) continue;
      const end = performance.now() + modelTime;
      model = await modelRow(() => more() && performance.now() < end, random);
    }
    for (const { row } of readers) rows.push(row());
    return model === null ? rows : [...rows, model];
  },
};
