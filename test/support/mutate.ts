/**
 * Small sound adapters of every format, damaged by a seeded generator, and what reading them has to keep to. `runFormats` runs as
 * long as it is told to; `formats/damaged.test.ts` is its short form.
 */
import {
  type AdapterBytes,
  baseFromConfig,
  FormatError,
  type LoraFile,
  openGguf,
  openSafetensors,
  readAdapter,
  writeGguf,
  writeKohya,
  writeLoralib,
  writeMlx,
  writePeft,
  writeSafetensors,
} from '../../src/formats/index.js';
import { makeFile, makeModule } from './adapters.js';

/** Numbers of a seed: the same seed, the same damage (mulberry32). */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((((t ^ (t >>> 14)) >>> 0) * below) / 2 ** 32) | 0;
  };
}

const llama = baseFromConfig('{"model_type":"llama","num_attention_heads":2}');

/** A sound file of each format, and of dtypes and parts that only some have. */
export async function soundAdapters(): Promise<AdapterBytes[]> {
  const file = makeFile([
    makeModule('model.layers.0.self_attn.q_proj', [8, 2, 5], 0.5),
    makeModule('model.layers.1.mlp.up_proj', [4, 3, 5], 2),
  ]);
  const conv = makeFile([makeModule('down.conv', [6, 2, 3, 3, 3], 0.25, 'conv2d')]);
  const [peft, mlx] = [writePeft(file), writeMlx(file)];
  const half = (shape: number[]) => ({
    shape,
    data: new Uint16Array(shape.reduce((n, d) => n * d, 1)).fill(0x3c00),
    dtype: 'F16',
  });
  const halves = writeSafetensors(
    [
      ['lora_unet_a.lora_down.weight', half([2, 3])],
      ['lora_unet_a.lora_up.weight', half([4, 2])],
      ['lora_unet_a.alpha', half([])],
      ['lora_unet_a.dora_scale', half([4, 1])],
    ],
    { metadata: { ss_network_module: 'networks.lora', ss_network_args: '{"algo": "locon"}' } },
  );
  return [
    { weights: peft['adapter_model.safetensors'], config: peft['adapter_config.json'] },
    { weights: mlx['adapters.safetensors'], config: mlx['adapter_config.json'] },
    { weights: (await writeGguf(file, { base: llama })).bytes, config: null },
    { weights: writeKohya(conv), config: null },
    { weights: halves, config: null },
    { weights: writeLoralib(file).weights, config: null },
  ];
}

const LENGTHS = [0n, 1n, 7n, 8n, 255n, 65_535n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const TEXTS = ['9', '-', '1e999', '"', '\\', '{', '[', ']', ',', '\u0000', 'null', 'NaN', '"a":1,', '0.5'];

/** One damage: a bit, a cut, a length, a text in the header, bytes taken out, put in or exchanged. */
export function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes);
  if (copy.length === 0) return copy;
  // Headers are where most can go wrong.
  const at = random(random(4) === 0 ? copy.length : Math.min(copy.length, 700));
  const splice = (without: number, insert: Uint8Array): Uint8Array<ArrayBuffer> => {
    const rest = copy.subarray(Math.min(copy.length, at + without));
    const made = new Uint8Array(at + insert.length + rest.length);
    made.set(copy.subarray(0, at));
    made.set(insert, at);
    made.set(rest, at + insert.length);
    return made;
  };
  switch (random(8)) {
    case 0:
      copy[at] = copy[at]! ^ (1 << random(8));
      return copy;
    case 1:
      return copy.slice(0, at);
    case 2: {
      const place = [0, 8, 16, at][random(4)]!;
      if (place + 8 <= copy.length)
        new DataView(copy.buffer).setBigUint64(place, LENGTHS[random(LENGTHS.length)]!, true);
      return copy;
    }
    case 3:
      copy[at] = random(256);
      return copy;
    case 4:
      return splice(1 + random(9), new Uint8Array(0));
    case 5:
      return splice(0, new TextEncoder().encode(TEXTS[random(TEXTS.length)]!));
    case 6:
      return splice(0, copy.slice(at, at + 1 + random(40)));
    default: {
      // A digit for another: sizes, offsets, ranks.
      let digit = at;
      while (digit < copy.length && (copy[digit]! < 48 || copy[digit]! > 57)) digit++;
      if (digit < copy.length) copy[digit] = 48 + random(10);
      return copy;
    }
  }
}

/** Counts of a run. */
export interface FormatsRun {
  readonly tried: number;
  /** Refused by a FormatError that says where. */
  readonly errors: number;
  readonly read: number;
  readonly faults: number;
  /** The first few faults, with the seed and turn that show them. */
  readonly first: readonly string[];
}

/** Damages files until `until` says true, and reads each twice. */
export async function runFormats({
  seed,
  until,
}: {
  readonly seed: number;
  readonly until: () => boolean;
}): Promise<FormatsRun> {
  const sound = await soundAdapters();
  const random = generator(seed);
  const first: string[] = [];
  let [tried, errors, read, faults] = [0, 0, 0, 0];
  while (!until()) {
    const { weights, config } = sound[random(sound.length)]!;
    let input: AdapterBytes = { weights, config };
    for (let i = 1 + random(3); i > 0; i--)
      input =
        input.config !== null && random(3) === 0
          ? { ...input, config: mutate(input.config, random) }
          : { ...input, weights: mutate(input.weights, random) };
    const { fault, refused } = await faultOf(input);
    if (fault !== null && ++faults <= 5) first.push(`seed ${seed}, turn ${tried}: ${fault}`);
    tried++;
    if (refused) errors++;
    else read++;
  }
  return { tried, errors, read, faults, first };
}

async function faultOf(input: AdapterBytes): Promise<{ fault: string | null; refused: boolean }> {
  const [once, again] = [await outcome(input), await outcome(input)];
  const refused = !('file' in once);
  const differs = sayOutcome(once) === sayOutcome(again) ? null : 'two readings differ';
  const fault = refused ? errorFault(once.error) : sizeFault(once.file, input);
  return { fault: fault ?? differs ?? (await sourceFault(input.weights)), refused };
}

type Outcome = { readonly file: LoraFile } | { readonly error: unknown };

async function outcome(input: AdapterBytes): Promise<Outcome> {
  try {
    return { file: await readAdapter(input, { alpha: 2 }).catch(() => readAdapter(input)) };
  } catch (error) {
    return { error };
  }
}

function sayOutcome(found: Outcome): string {
  if (!('file' in found)) return String(found.error);
  const { modules, extras, warnings, format } = found.file;
  const bits = ({ data }: { data: ArrayBufferView }): string =>
    Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).join();
  const layers = modules.map(({ A, B, ...rest }) => [rest, A.shape, bits(A), B.shape, bits(B)]);
  const others = extras.map(({ tensor, ...rest }) => [rest, tensor.shape, bits(tensor)]);
  return JSON.stringify([format, layers, others, warnings]);
}

/** An error is a FormatError of the called function, of one line and limited length. */
function errorFault(error: unknown): string | null {
  if (!(error instanceof FormatError)) return `${String(error).slice(0, 300)} is no FormatError`;
  const { message } = error;
  if (message.length > 2000) return `a message of ${message.length} characters`;
  if (/[\p{Cc}\p{Cf}]/u.test(message)) return `a message with control characters: ${JSON.stringify(message)}`;
  return message.startsWith('readAdapter: ') ? null : `'${message}' does not name readAdapter`;
}

/** What is read is no larger than 13 bytes for each byte of the file (q2_K is 84 bytes for 256 values), and finite in scale. */
function sizeFault({ modules, extras }: LoraFile, { weights }: AdapterBytes): string | null {
  const bytes =
    modules.reduce((sum, { A, B }) => sum + A.data.byteLength + B.data.byteLength, 0) +
    extras.reduce((sum, { tensor }) => sum + tensor.data.byteLength, 0);
  if (bytes > 13 * weights.length) return `${bytes} bytes of values from a file of ${weights.length}`;
  const endless = modules.find(({ scale, alpha }) => ![scale ?? 0, alpha ?? 0].every(Number.isFinite));
  return endless === undefined ? null : `the scale of '${endless.path}' is ${endless.scale}`;
}

/** Opened by range, no more is asked for than the file has, and little of it twice. */
async function sourceFault(weights: Uint8Array): Promise<string | null> {
  for (const [name, open] of [
    ['openSafetensors', openSafetensors],
    ['openGguf', (source: Parameters<typeof openSafetensors>[0]) => openGguf('x', source)],
  ] as const) {
    let asked = 0;
    const read = async (begin: number, end: number): Promise<Uint8Array> => {
      asked += end - begin;
      if (begin < 0 || end > weights.length || begin > end) throw new Error(`${begin} to ${end}`);
      return weights.slice(begin, end);
    };
    try {
      await open({ size: weights.length, read });
    } catch (error) {
      if (!(error instanceof FormatError)) return `${name}: ${String(error).slice(0, 300)} is no FormatError`;
      if (!error.message.startsWith(`${name}: `)) return `'${error.message}' does not name ${name}`;
    }
    if (asked > 1.5 * weights.length) return `${name} asked for ${asked} of ${weights.length} bytes`;
  }
  return null;
}
