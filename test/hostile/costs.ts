/** What files of others cost, in time and memory: ratios and counts that the suite cannot hold to a clock. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RE2JS } from 're2js';
import { medianOf } from '../../bench/core/measure.js';
import { parsePeftConfig, parseSafetensors, readGguf, writeSafetensors } from '../../src/formats/index.js';
import { createRuntime, Linear, LoraModel, Sequential } from '../../src/index.js';
import { ggufBytes } from '../support/gguf.js';
import { milliseconds, type Row, type Section } from './section.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Times of each body in ms, turn by turn. */
function timesOf(bodies: readonly (() => unknown)[], turns = 9): number[][] {
  return Array.from({ length: turns }, () =>
    bodies.map((body) => {
      const begin = performance.now();
      body();
      return performance.now() - begin;
    }),
  );
}

function row(what: string, tried: string, fault: string | null, worst: string): Row {
  return { what, tried, faults: fault === null ? [] : [fault], worst };
}

function halves(): Row[] {
  const count = 10_000_000;
  const open = (dtype: 'F16' | 'BF16' | 'F32') =>
    parseSafetensors(
      writeSafetensors([
        [
          'x',
          dtype === 'F32'
            ? { shape: [count], data: new Float32Array(count).fill(1.5) }
            : { shape: [count], data: new Uint16Array(count).fill(dtype === 'F16' ? 0x3e00 : 0x3fc0), dtype },
        ],
      ]),
    );
  const kinds = ['F32', 'F16', 'BF16'] as const;
  const turns = timesOf(kinds.map(open).map((file) => () => file.f32('x')));
  return kinds.slice(1).map((dtype, i) => {
    const time = medianOf(turns.map((times) => times[i + 1]!));
    // Turn by turn: one lucky copy of float32, into pages that were there, is no measure for the others.
    const ratio = medianOf(turns.map((times) => times[i + 1]! / times[0]!));
    const fault = ratio > 3 ? `${ratio.toFixed(1)} times the time of float32, expected at most 3` : null;
    return row(
      `reading ${dtype}`,
      '10 million values',
      fault,
      `${ratio.toFixed(2)} times float32 (${milliseconds(time)})`,
    );
  });
}

/** Times that four times as many things may take: more than linear, and less than their square. */
const GROWTH = 10;

interface Cost {
  readonly time: number;
  /** Bytes of typed arrays taken for a byte of the file. */
  readonly taken: number;
}

async function costOf(bytes: Uint8Array, read: (bytes: Uint8Array<ArrayBuffer>) => unknown): Promise<Cost> {
  const own = Uint8Array.from(bytes);
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const begin = performance.now();
  try {
    await read(own);
  } catch {
    // Refused is as good as read; the other sections hold the answers.
  }
  const time = performance.now() - begin;
  return { time, taken: Math.max(0, process.memoryUsage().arrayBuffers - before) / bytes.length };
}

/**
 * What a file of `count` things costs, and one of a quarter as many: a time that grows much faster than the file, or memory of
 * many times the file, is a fault.
 */
async function cost(
  what: string,
  count: number,
  make: (count: number) => Uint8Array,
  read: (bytes: Uint8Array<ArrayBuffer>) => unknown,
): Promise<Row> {
  const bytes = make(count);
  const quarter = make(count / 4);
  const small = await costOf(quarter, read);
  const whole = await costOf(bytes, read);
  const growth = whole.time / Math.max(small.time, 5);
  const fault =
    growth > GROWTH || whole.taken > 20
      ? `${growth.toFixed(1)} times the time of a quarter and ${whole.taken.toFixed(1)} bytes for a byte, expected at most ${GROWTH} and 20`
      : null;
  const size = `${(bytes.length / 2 ** 20).toFixed(1)} MiB`;
  const worst = `${milliseconds(whole.time)}, ${growth.toFixed(1)} times that of a quarter; ${whole.taken.toFixed(1)} bytes for a byte of the file`;
  return row(what, size, fault, worst);
}

function safetensorsOf(count: number): Uint8Array<ArrayBuffer> {
  return writeSafetensors(
    Array.from({ length: count }, (_, i) => [`t${i}`, { shape: [1], data: Float32Array.of(i) }]),
  );
}

function overlapping(count: number): Uint8Array<ArrayBuffer> {
  const size = 2 ** 18;
  const tensors = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `blk.${i}.attn_q.weight.lora_${i % 2 ? 'b' : 'a'}`,
      { sizes: [size, 4], type: 0, offset: 0 },
    ]),
  );
  return ggufBytes({
    metadata: { 'general.type': 'adapter', 'adapter.type': 'lora' },
    tensors,
    data: 4 * 4 * size,
  });
}

/** Patterns that a config makes the reader of a model compile. */
async function patterns(): Promise<Row> {
  using rt = await createRuntime({ threads: 1 });
  const model = new Sequential(new Linear(rt, 4, 4), new Linear(rt, 4, 4));
  const lora = LoraModel.attach(model, { r: 2, targetModules: ['0', '1'] }, 'one');
  const files = lora.exportAdapter('one');
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
  const keys = 4000;
  const rank_pattern = Object.fromEntries(Array.from({ length: keys }, (_, i) => [`0|layers${i}`, 2]));
  const { compile } = RE2JS;
  let compiled = 0;
  RE2JS.compile = (...given: Parameters<typeof compile>) => {
    compiled++;
    return compile.apply(RE2JS, given);
  };
  const begin = performance.now();
  try {
    await lora.loadAdapter('many', {
      ...files,
      'adapter_config.json': new TextEncoder().encode(JSON.stringify({ ...config, rank_pattern })),
    });
  } finally {
    RE2JS.compile = compile;
  }
  const each = compiled / keys;
  const fault = each > 2 ? `${each.toFixed(2)} patterns compiled for a key, expected at most 2` : null;
  return row(
    'a rank_pattern of many keys',
    `${keys} keys`,
    fault,
    `${each.toFixed(2)} compiled for a key, ${milliseconds(performance.now() - begin)}`,
  );
}

export const costs: Section = {
  name: 'costs of files',
  share: 0.05,
  async run(): Promise<Row[]> {
    const config = (letters: number): Uint8Array =>
      new TextEncoder().encode(
        JSON.stringify({ peft_type: 'LORA', r: 4, target_modules: ['x'.repeat(letters)] }),
      );
    return [
      ...halves(),
      await cost('safetensors of 40,000 tensors', 40_000, safetensorsOf, (bytes) => parseSafetensors(bytes)),
      await cost('GGUF whose tensors overlap', 1000, overlapping, (bytes) => readGguf(bytes)),
      await cost('a config with a string of 12 million letters', 12_000_000, config, (bytes) =>
        parsePeftConfig(bytes),
      ),
      await patterns(),
    ];
  },
};
