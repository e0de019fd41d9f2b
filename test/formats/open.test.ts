/** Safetensors read by range: what each kind of source is asked for, and that values and refusals are those of the whole file. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FormatError, openSafetensors, parseSafetensors, writeSafetensors } from '../../src/formats/index.js';

const A = Float32Array.from({ length: 300 }, (_, i) => i / 8);
const bytes = writeSafetensors([
  ['a', { shape: [3, 100], data: A }],
  ['half', { shape: [2], data: Uint16Array.of(0x3c00, 0xc000), dtype: 'F16' }],
  ['ids', { shape: [2], data: Int32Array.of(7, -7) }],
  ['nothing', { shape: [0, 4], data: new Float32Array(0) }],
]);
const URL_ = new URL('https://example.org/adapter.safetensors');

/** A source that notes what is read. */
function traced(content: Uint8Array) {
  const reads: [number, number][] = [];
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    reads.push([begin, end]);
    return content.slice(begin, end);
  };
  return { source: { size: content.length, read }, reads };
}

async function expectWhole(file: Awaited<ReturnType<typeof openSafetensors>>): Promise<void> {
  expect(file.names).toEqual(parseSafetensors(bytes).names);
  expect(await file.f32('a')).toEqual(A);
  expect([...(await file.f32('half'))]).toEqual([1, -2]);
  expect(await file.array('ids')).toEqual(Int32Array.of(7, -7));
  expect(await file.array('nothing')).toEqual(new Float32Array(0));
  expect(file.metadata.get('format')).toBe('pt');
}

test('a source of one’s own is asked for the length, the header and the tensor alone', async () => {
  const { source, reads } = traced(bytes);
  const file = await openSafetensors(source);
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  expect(reads).toEqual([
    [0, 8],
    [8, start],
  ]);
  const { begin, end } = file.info('ids');
  expect((await file.bytes('ids')).length).toBe(8);
  expect(reads.slice(2)).toEqual([[start + begin, start + end]]);
  await expectWhole(file);
});

test('a Blob', async () => {
  await expectWhole(await openSafetensors(new Blob([bytes])));
});

test('values that are no floats, names that are not there', async () => {
  const file = await openSafetensors(new Blob([bytes]));
  await expect(file.f32('ids')).rejects.toThrow("tensor 'ids' is I32, expected F32, F16, BF16 or F64");
  await expect(file.bytes('b')).rejects.toThrow("there is no tensor 'b'");
});

test('every prefix of a valid file is refused on opening', async () => {
  for (let n = 0; n < bytes.length; n += n < 600 ? 1 : 97)
    await expect(openSafetensors(new Blob([bytes.slice(0, n)])), `${n} bytes`).rejects.toThrow(FormatError);
});

test('a header length of FF..FF reads nothing more', async () => {
  const { source, reads } = traced(new Uint8Array(64).fill(255));
  await expect(openSafetensors(source)).rejects.toThrow('the header has 18446744073709551615 bytes');
  expect(reads).toEqual([[0, 8]]);
});

test('a source that gives too little, one without a size, one of another kind', async () => {
  const short = { size: bytes.length, read: async () => new Uint8Array(3) };
  await expect(openSafetensors(short)).rejects.toThrow('reading bytes 0 to 8 gave 3 bytes, expected 8');
  await expect(openSafetensors({ ...short, size: Number.NaN })).rejects.toThrow('source.size is NaN');
  await expect(openSafetensors('file' as never)).rejects.toThrow('expected a Blob, a URL or { size, read }');
});

describe('over HTTP', () => {
  type Server = (range: [number, number] | null) => Response;
  let server: Server = () => new Response(null, { status: 404 });
  let asked: (string | null)[] = [];

  beforeEach(() => {
    asked = [];
    vi.stubGlobal('fetch', async (_: URL, init?: RequestInit) => {
      const range = new Headers(init?.headers).get('range');
      asked.push(range);
      const found = /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
      return server(found === null ? null : [Number(found[1]), Number(found[2]) + 1]);
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  const partial = (begin: number, end: number, headers: Record<string, string> = {}): Response => {
    const body = bytes.slice(begin, end);
    const place = `bytes ${begin}-${begin + body.length - 1}/${bytes.length}`;
    return new Response(body, { status: 206, headers: { 'content-range': place, ...headers } });
  };

  test('ranges', async () => {
    server = (range) => partial(...range!);
    const file = await openSafetensors(URL_);
    expect(asked).toHaveLength(3);
    await expectWhole(file);
    expect(asked).toHaveLength(6);
    expect(asked).not.toContain(null);
  });

  test('a server that ignores Range is asked once', async () => {
    server = () => new Response(bytes);
    await expectWhole(await openSafetensors(URL_));
    expect(asked).toEqual(['bytes=0-7']);
  });

  test.each([
    ['hides Content-Range', () => new Response(bytes.slice(0, 8), { status: 206 })],
    ['encodes partial answers', () => partial(0, 8, { 'content-encoding': 'x-own' })],
    ['refuses ranges', () => new Response(null, { status: 416 })],
  ])('a server that %s is asked for the whole', async (_, answer) => {
    server = (range) => (range === null ? new Response(bytes) : answer());
    await expectWhole(await openSafetensors(URL_));
    expect(asked).toEqual(['bytes=0-7', null]);
  });

  test('a file that changes meanwhile, a file that is not there', async () => {
    let version = 0;
    server = (range) => partial(...range!, { etag: `"${version}"` });
    const file = await openSafetensors(URL_);
    version = 1;
    await expect(file.f32('a')).rejects.toThrow('changed while it was read');
    server = () => new Response(null, { status: 404, statusText: 'Not Found' });
    await expect(openSafetensors(URL_)).rejects.toThrow(
      'https://example.org/adapter.safetensors answered 404 Not Found, expected the file',
    );
  });
});
