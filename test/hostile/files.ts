/**
 * Damaged files of every format: bytes flipped, cut, repeated and exchanged, and words of their JSON replaced. A reader gives a
 * file or an error of the package; what it gives can be written again; a model that refuses one is as before.
 */
import {
  type AdapterBytes,
  convert,
  FormatError,
  type LoraFile,
  readAdapter,
  writeGguf,
  writeKohya,
  writeLoralib,
  writeMlx,
  writePeft,
} from '../../src/formats/index.js';
import {
  AdapterError,
  createRuntime,
  Linear,
  LoraModel,
  OutOfMemoryError,
  Sequential,
} from '../../src/index.js';
import { makeFile, makeModule } from '../support/adapters.js';
import { stateOf } from '../support/injection/scenario.js';
import { milliseconds, type Random, type Row, type Section, said } from './section.js';

const encoder = new TextEncoder();

/** A sound file of a format. */
interface Sound extends AdapterBytes {
  readonly format: string;
  readonly alpha?: number;
}

async function soundFiles(): Promise<Sound[]> {
  const modules = [
    makeModule('model.layers.0.self_attn.v_proj', [6, 2, 4], 2),
    makeModule('model.layers.1.self_attn.v_proj', [4, 2, 6], 2),
  ];
  const file: LoraFile = makeFile(modules);
  const peft = writePeft(file);
  const mlx = writeMlx(file);
  return [
    { format: 'PEFT', weights: peft['adapter_model.safetensors'], config: peft['adapter_config.json'] },
    { format: 'MLX', weights: mlx['adapters.safetensors'], config: mlx['adapter_config.json'] },
    { format: 'GGUF', weights: (await writeGguf(file)).bytes, config: null },
    { format: 'kohya', weights: writeKohya(file), config: null },
    { format: 'loralib', weights: writeLoralib(file).weights, config: null, alpha: 4 },
  ];
}

/** Words that readers trip over. */
const WORDS = [
  'null',
  'true',
  '-1',
  '0',
  '1e999',
  '-0.5',
  '9007199254740993',
  '18446744073709551615',
  '[]',
  '{}',
  '""',
  '[null]',
  '"__proto__"',
  '"constructor"',
  '"NaN"',
  'NaN',
  '"F64"',
  '"I8"',
  '"\\ud800"',
  '[[[[[[]]]]]]',
  `"${'x'.repeat(3000)}"`,
];

/** One damage to bytes. */
function damage(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.integer(
    0,
    Math.max(0, random.next() < 0.7 ? Math.min(bytes.length, 600) : bytes.length) - 1,
  );
  const length = random.integer(1, 12);
  const copy = Uint8Array.from(bytes);
  const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));
  switch (random.integer(0, 7)) {
    case 0:
      copy[at] = copy[at]! ^ (1 << random.integer(0, 7));
      return copy;
    case 1:
      copy[at] = random.choose([0, 1, 127, 128, 255]);
      return copy;
    case 2:
      return copy.slice(0, at);
    case 3:
      return joined(copy.subarray(0, at), copy.subarray(at + length));
    case 4:
      return joined(copy.subarray(0, at + length), copy.subarray(at));
    case 5:
      copy.copyWithin(at, random.integer(0, copy.length - 1), Math.min(copy.length, at + 8));
      return copy;
    case 6:
      return joined(copy.subarray(0, at), encoder.encode(random.choose(WORDS)), copy.subarray(at));
    default: {
      // A value of the JSON, in the header of safetensors too, for another.
      const text = Buffer.from(copy).toString('latin1');
      const values = [
        ...text.slice(0, 4000).matchAll(/(?<=[:,[])(?:-?\d[\d.eE+-]*|"[^"]*"|null|true|false)/g),
      ];
      if (values.length === 0) return copy;
      const { index, 0: old } = random.choose(values);
      const word = random.choose(WORDS);
      const changed = Buffer.from(text.slice(0, index) + word + text.slice(index + old.length), 'latin1');
      if (text.charCodeAt(8) === 123 && changed.length > 16) {
        const grown = Number(changed.readBigUInt64LE(0)) + word.length - old.length;
        if (grown >= 0) changed.writeBigUInt64LE(BigInt(grown), 0);
      }
      return Uint8Array.from(changed);
    }
  }
}

function damaged(sound: Sound, random: Random): Sound {
  let { weights, config } = sound;
  for (let i = random.integer(1, 3); i > 0; i--) {
    if (config !== null && random.next() < 0.5) config = damage(config, random);
    else weights = damage(weights, random);
  }
  return { ...sound, weights, config };
}

/** What is wrong with an error; null for one of the package that says where. */
function faultOf(error: unknown): string | null {
  const known =
    error instanceof FormatError || error instanceof AdapterError || error instanceof OutOfMemoryError;
  if (!known) return `${said(error)} is no error of the package`;
  if (error.message.length > 2100) return `a message of ${error.message.length} characters`;
  return null;
}

async function readFault(file: Sound): Promise<string | null> {
  let found: LoraFile;
  const options = file.alpha === undefined ? {} : { alpha: file.alpha };
  try {
    found = await readAdapter(file, options);
  } catch (error) {
    return faultOf(error);
  }
  for (const { r, A, B } of found.modules)
    if (
      !(r > 0) ||
      A.data.length !== A.shape.reduce((n, d) => n * d, 1) ||
      B.data.length !== B.shape.reduce((n, d) => n * d, 1)
    )
      return `a module of rank ${r}, A ${A.data.length} and B ${B.data.length} elements`;
  try {
    const { files } = await convert(file, { to: 'peft', dropUnsupported: true, ...options });
    const again = {
      weights: files.get('adapter_model.safetensors')!,
      config: files.get('adapter_config.json')!,
    };
    await readAdapter(again);
  } catch (error) {
    // NaN and infinity are refused at writing.
    const fault = faultOf(error);
    return fault === null ? null : `written again: ${fault}`;
  }
  return null;
}

function readersRow(sound: Sound): { row: () => Row; turn: (random: Random) => Promise<void> } {
  const faults: string[] = [];
  let [tried, slowest] = [0, 0];
  return {
    async turn(random) {
      const file = damaged(sound, random);
      const begin = performance.now();
      const fault = await readFault(file);
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
      what: `damaged files, ${sound.format}`,
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
    format: 'PEFT',
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
    const readers = (await soundFiles()).map(readersRow);
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
