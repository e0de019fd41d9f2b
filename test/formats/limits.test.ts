/** What a file may cost: overlaps, lengths and counts that it claims, long strings and names, and the length of messages. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  FormatError,
  openGguf,
  parseSafetensors,
  readGguf,
  writeSafetensors,
} from '../../src/formats/index.js';
import { AdapterError } from '../../src/index.js';
import { ggufBytes } from '../support/gguf.js';

const encoder = new TextEncoder();

function safetensors(header: string, data = 0): Uint8Array<ArrayBuffer> {
  const text = encoder.encode(header);
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as Error).message;
  }
  throw new Error('expected an error');
}

/** A source that counts the bytes read from it. */
function counted(bytes: Uint8Array, size = bytes.length) {
  const counts = { bytes: 0 };
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    counts.bytes += end - begin;
    return bytes.slice(begin, end);
  };
  return { counts, source: { size, read } };
}

describe('tensors over each other', () => {
  test('are refused in GGUF before any is read, and those side by side are not', async () => {
    const at = (offset: number) => ({ sizes: [8, 2], type: 0, offset });
    const metadata = { 'general.type': 'adapter', 'adapter.type': 'lora' };
    const tensors = { 'x.lora_a': at(0), 'x.lora_b': at(32) };
    const over = ggufBytes({ metadata, tensors, data: 128 });
    const { counts, source } = counted(over);
    await expect(openGguf('here', source)).rejects.toThrow(
      /^openGguf: here: tensor 'x\.lora_b' begins at byte \d+, inside of 'x\.lora_a', which ends at \d+; expected no overlap$/,
    );
    expect(counts.bytes).toBe(over.length);
    await expect(readGguf(over)).rejects.toThrow('expected no overlap');
    const beside = ggufBytes({ metadata, tensors: { ...tensors, 'x.lora_b': at(64) }, data: 128 });
    expect((await openGguf('here', counted(beside).source)).tensors.size).toBe(2);
  });

  test('are refused in safetensors', () => {
    const entry = (begin: number) => `{"dtype":"U8","shape":[4],"data_offsets":[${begin},${begin + 4}]}`;
    expect(refusal(() => parseSafetensors(safetensors(`{"a":${entry(0)},"b":${entry(2)}}`, 6)))).toContain(
      "'b' begins at byte 2, expected 4: no gap and no overlap",
    );
  });
});

describe('claims of a GGUF header', () => {
  const header = (tensors: bigint, pairs: bigint, rest: number[] = []): Uint8Array => {
    const bytes = new Uint8Array(24 + rest.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x46554747, true);
    view.setUint32(4, 3, true);
    view.setBigUint64(8, tensors, true);
    view.setBigUint64(16, pairs, true);
    bytes.set(rest, 24);
    return bytes;
  };
  const GIB = 2 ** 30;

  test.each([
    ['more tensors than the file has bytes for', header(2n ** 62n, 0n), 'names 4611686018427387904 tensors'],
    ['a million tensors and one', header(1_000_001n, 0n), 'expected at most 1000000'],
    ['a key that is longer than the file', header(0n, 1n, [0, 0, 0, 0, 0, 0, 0, 1]), 'it is cut short'],
  ])('%s: nothing more is read', async (_, begin, words) => {
    const bytes = new Uint8Array(2 ** 16);
    bytes.set(begin);
    const { counts, source } = counted(bytes, GIB);
    await expect(openGguf('here', source)).rejects.toThrow(words);
    expect(counts.bytes).toBe(2 ** 16);
  });

  test('a header that does not end is read up to its limit', async () => {
    const begin = header(0n, 1n, [0, 0, 0, 16, 0, 0, 0, 0]);
    let read = 0;
    const source = {
      size: GIB,
      read: async (from: number, to: number): Promise<Uint8Array> => {
        read += to - from;
        const bytes = new Uint8Array(to - from);
        bytes.set(begin);
        return bytes;
      },
    };
    await expect(openGguf('here', source)).rejects.toThrow('the header has more than 100000000 bytes');
    // What was read before is read again, four times as much each time.
    expect(read).toBeLessThan(2e8);
  });
});

describe('JSON', () => {
  test('strings of many megabytes, with escapes and without', () => {
    const plain = 'x'.repeat(12_000_000);
    const escapes = '\\"'.repeat(4_000_000);
    const file = parseSafetensors(
      safetensors(`{"__metadata__":{"plain":"${plain}","escapes":"${escapes}"}}`),
    );
    expect(file.metadata.get('plain')).toHaveLength(12_000_000);
    expect(file.metadata.get('escapes')).toHaveLength(4_000_000);
  });

  test.each([
    ['does not end', '{"__metadata__":{"a":"b'],
    ['ends with an escaped quote', '{"__metadata__":{"a":"\\"'],
    ['has an unknown escape', '{"__metadata__":{"a":"\\x"}}'],
    ['has a line feed', '{"__metadata__":{"a":"\n"}}'],
  ])('a string that %s is refused', (_, header) => {
    expect(refusal(() => parseSafetensors(safetensors(header)))).toContain('expected a string');
  });

  test('a million dimensions are refused, and digits without end', () => {
    const tensor = (shape: string): string => `{"a":{"dtype":"U8","shape":[${shape}],"data_offsets":[0,1]}}`;
    expect(refusal(() => parseSafetensors(safetensors(tensor(`1${',1'.repeat(999_999)}`), 1)))).toContain(
      'shape: has 1000000 entries, expected at most 32',
    );
    expect(refusal(() => parseSafetensors(safetensors(tensor('9'.repeat(8_000_000)), 1)))).toContain('shape');
  });

  test('a million tensors and one are refused', () => {
    const names = Array.from({ length: 1_000_001 }, (_, i) => `"${i}":0`);
    expect(refusal(() => parseSafetensors(safetensors(`{${names.join(',')}}`)))).toContain(
      'names 1000001 tensors, expected at most 1000000',
    );
  });
});

describe('half and brain floats', () => {
  afterEach(() => vi.restoreAllMocks());
  const every = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  const file = parseSafetensors(
    writeSafetensors([
      ['half', { shape: [every.length], data: every, dtype: 'F16' }],
      ['brain', { shape: [every.length], data: every, dtype: 'BF16' }],
    ]),
  );

  test('every one of them is the number that its bits say', () => {
    const half = (bits: number): number => {
      const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
      const size =
        exponent === 31
          ? fraction === 0
            ? Number.POSITIVE_INFINITY
            : Number.NaN
          : 2 ** Math.max(exponent - 15, -14) * ((exponent === 0 ? 0 : 1) + fraction / 1024);
      return bits & 0x8000 ? -size : size;
    };
    const halves = file.f32('half');
    const brains = new DataView(file.f32('brain').buffer);
    for (let i = 0; i < every.length; i++) {
      if (!Object.is(halves[i], half(i))) expect([i, halves[i]]).toEqual([i, half(i)]);
      if (brains.getUint32(4 * i, true) !== i * 2 ** 16)
        expect(brains.getUint32(4 * i, true)).toBe(i * 2 ** 16);
    }
  });

  test('no function is called for each element', () => {
    const mapped = vi.spyOn(Object.getPrototypeOf(Uint8Array), 'from');
    file.f32('half');
    file.f32('brain');
    expect(mapped).not.toHaveBeenCalled();
  });
});

describe('messages', () => {
  const long = (letter: string): string => letter.repeat(1_000_000);

  test('are cut at 2,000 characters, with their beginning and their end', () => {
    const entry = '{"dtype":"U8","shape":[],"data_offsets":[0,1]}';
    const file = parseSafetensors(safetensors(`{"${long('a')}":${entry}}`, 1));
    for (const message of [
      refusal(() => file.info(long('b'))),
      refusal(() => file.f32(long('a'))),
      refusal(() => parseSafetensors(safetensors(`{"${long('c')}":{}}`))),
      refusal(() => parseSafetensors(safetensors(`{"${long('\u202e')}":{}}`))),
      new AdapterError(`x: missing [${long('d')}], expected none`).message,
    ]) {
      expect(message.length).toBeLessThanOrEqual(2000);
      expect(message).toMatch(/^[a-zA-Z.0-9]+: .* more characters \.\.\. /s);
    }
  });

  test('name the first of many tensors', () => {
    const names = Array.from(
      { length: 1000 },
      (_, i) => [`t${i}`, { shape: [0], data: new Uint8Array(0) }] as const,
    );
    const message = refusal(() => parseSafetensors(writeSafetensors(names)).info('x'));
    expect(message).toMatch(/expected one of t0, t1, .* and 980 more$/);
  });

  test('hold no control character of a name', () => {
    const name = 'a\u001b[31m\n\u202eb\u2066\u200b\u2028\u009b\ud800';
    const message = new FormatError(`x: '${name}' is wrong`).message;
    expect(message).toBe("x: 'a\\u001b[31m\\u000a\\u202eb\\u2066\\u200b\\u2028\\u009b\\ud800' is wrong");
    expect(new AdapterError(name).message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(new FormatError('größer 大 🙂').message).toBe('größer 大 🙂');
  });
});
