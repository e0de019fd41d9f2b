/**
 * Small sound adapters of every format, damaged at random, and what reading them has to keep to: for `formats/damaged.test.ts`, and
 * for the long run of `test/hostile`.
 */
import type { Random } from '../../reference/random.js';
import {
  type AdapterBytes,
  baseFromConfig,
  convert,
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

const encoder = new TextEncoder();
const llama = baseFromConfig('{"model_type":"llama","num_attention_heads":2}');

/** An adapter's files, and what they are. */
export interface Sound extends AdapterBytes {
  readonly name: string;
}

/** A sound file of each format, and of dtypes and parts that only some have. */
export async function soundAdapters(): Promise<Sound[]> {
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
    { name: 'PEFT', weights: peft['adapter_model.safetensors'], config: peft['adapter_config.json'] },
    { name: 'MLX', weights: mlx['adapters.safetensors'], config: mlx['adapter_config.json'] },
    { name: 'GGUF', weights: (await writeGguf(file, { base: llama })).bytes, config: null },
    { name: 'kohya', weights: writeKohya(conv), config: null },
    { name: 'kohya with halves', weights: halves, config: null },
    { name: 'loralib', weights: writeLoralib(file).weights, config: null },
  ];
}

const LENGTHS = [0n, 1n, 7n, 8n, 255n, 65_535n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const TEXTS = [
  ...['9', '-', '"', '\\', '{', '[', ']', ',', '\u0000', '"a":1,'],
  ...['null', 'true', '-1', '0', '1e999', '-0.5', '9007199254740993', '18446744073709551615', 'NaN'],
  ...['[]', '{}', '""', '[null]', '"__proto__"', '"constructor"', '"NaN"', '"F64"', '"I8"', '"\\ud800"'],
  ...['[[[[[[]]]]]]', `"${'x'.repeat(3000)}"`],
];

/** One damage: a bit, a cut, a length, a text in the header, bytes taken out, put in or exchanged, a word of JSON for another. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes);
  if (copy.length === 0) return copy;
  // Headers are where most can go wrong.
  const at = random.below(random.below(4) === 0 ? copy.length : Math.min(copy.length, 700));
  const splice = (without: number, insert: Uint8Array): Uint8Array<ArrayBuffer> => {
    const rest = copy.subarray(Math.min(copy.length, at + without));
    const made = new Uint8Array(at + insert.length + rest.length);
    made.set(copy.subarray(0, at));
    made.set(insert, at);
    made.set(rest, at + insert.length);
    return made;
  };
  switch (random.below(9)) {
    case 0:
      copy[at] = copy[at]! ^ (1 << random.below(8));
      return copy;
    case 1:
      return copy.slice(0, at);
    case 2: {
      const place = [0, 8, 16, at][random.below(4)]!;
      if (place + 8 <= copy.length)
        new DataView(copy.buffer).setBigUint64(place, random.choose(LENGTHS), true);
      return copy;
    }
    case 3:
      copy[at] = random.below(256);
      return copy;
    case 4:
      return splice(1 + random.below(9), new Uint8Array(0));
    case 5:
      return splice(0, encoder.encode(random.choose(TEXTS)));
    case 6:
      return splice(0, copy.slice(at, at + 1 + random.below(40)));
    case 7:
      return otherValue(copy, random);
    default: {
      // A digit for another: sizes, offsets, ranks.
      let digit = at;
      while (digit < copy.length && (copy[digit]! < 48 || copy[digit]! > 57)) digit++;
      if (digit < copy.length) copy[digit] = 48 + random.below(10);
      return copy;
    }
  }
}

/** A value of JSON for another, in a header of safetensors too, whose length is kept true. */
function otherValue(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const text = String.fromCharCode(...bytes.subarray(0, 4000));
  const values = [...text.matchAll(/(?<=[:,[])(?:-?\d[\d.eE+-]*|"[^"]*"|null|true|false)/g)];
  if (values.length === 0) return bytes;
  const { index, 0: old } = random.choose(values);
  const word = encoder.encode(random.choose(TEXTS));
  const changed = new Uint8Array(bytes.length + word.length - old.length);
  changed.set(bytes.subarray(0, index));
  changed.set(word, index);
  changed.set(bytes.subarray(index + old.length), index + word.length);
  if (text[8] === '{' && changed.length > 16) {
    const view = new DataView(changed.buffer);
    const grown = Number(view.getBigUint64(0, true)) + word.length - old.length;
    if (grown >= 0) view.setBigUint64(0, BigInt(grown), true);
  }
  return changed;
}

/** One to three damages of an adapter's files. */
export function damaged<T extends AdapterBytes>(sound: T, random: Random): T {
  let { weights, config } = sound;
  for (let i = 1 + random.below(3); i > 0; i--)
    if (config !== null && random.below(3) === 0) config = mutate(config, random);
    else weights = mutate(weights, random);
  return { ...sound, weights, config };
}

/** What came of a file: refused by an error that says where, or read; and what of it was wrong. */
export interface Answer {
  readonly fault: string | null;
  readonly refused: boolean;
}

/** Reads a file twice, opens it by range, and writes again what it gave. */
export async function readingOf(input: AdapterBytes): Promise<Answer> {
  const [once, again] = [await outcome(input), await outcome(input)];
  const refused = !('file' in once);
  const differs = sayOutcome(once) === sayOutcome(again) ? null : 'two readings differ';
  const fault = refused ? errorFault('readAdapter', once.error) : sizeFault(once.file, input);
  const more = refused ? null : await writtenFault(input, once);
  return { fault: fault ?? differs ?? more ?? (await sourceFault(input.weights)), refused };
}

type Read = { readonly file: LoraFile; readonly alpha: { readonly alpha?: number } };
type Outcome = Read | { readonly error: unknown };

async function outcome(input: AdapterBytes): Promise<Outcome> {
  let thrown: unknown;
  for (const alpha of [{ alpha: 2 }, {}])
    try {
      return { file: await readAdapter(input, alpha), alpha };
    } catch (error) {
      thrown = error;
    }
  return { error: thrown };
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
function errorFault(called: string, error: unknown): string | null {
  if (!(error instanceof FormatError)) return `${String(error).slice(0, 300)} is no FormatError`;
  const { message } = error;
  if (message.length > 2000) return `a message of ${message.length} characters`;
  if (/[\p{Cc}\p{Cf}]/u.test(message)) return `a message with control characters: ${JSON.stringify(message)}`;
  return message.startsWith(`${called}: `) ? null : `'${message}' does not name ${called}`;
}

/** What was read can be written for PEFT and read again, or is refused: NaN and infinity are. */
async function writtenFault(input: AdapterBytes, { alpha }: Read): Promise<string | null> {
  let files: ReadonlyMap<string, Uint8Array>;
  try {
    ({ files } = await convert(input, { to: 'peft', dropUnsupported: true, ...alpha }));
  } catch (error) {
    return errorFault('convert', error);
  }
  const [weights, config] = ['adapter_model.safetensors', 'adapter_config.json'].map(
    (name) => files.get(name)!,
  );
  const again = await outcome({ weights: weights!, config: config! });
  return 'file' in again ? null : `written again: ${String(again.error).slice(0, 300)}`;
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
      const fault = errorFault(name, error);
      if (fault !== null) return fault;
    }
    if (asked > 1.5 * weights.length) return `${name} asked for ${asked} of ${weights.length} bytes`;
  }
  return null;
}
