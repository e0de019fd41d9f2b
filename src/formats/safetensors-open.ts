/** Opening safetensors lazily: the header is read and checked at once, each tensor when it is asked for. */
import { decode, type TypedArray, toFloat32 } from './dtypes.js';
import {
  type Header,
  headerLength,
  parseHeader,
  SafetensorsIndex,
  type TensorInfo,
} from './safetensors-read.js';
import { type ByteSource, openSource, type RandomAccess } from './source.js';

/** A safetensors file whose tensors are read by range. */
export class LazySafetensorsFile extends SafetensorsIndex {
  readonly #source: RandomAccess;
  readonly #dataStart: number;

  /** @internal Use `openSafetensors`. */
  constructor(where: string | null, source: RandomAccess, header: Header) {
    super(where, header);
    this.#source = source;
    this.#dataStart = header.dataStart;
  }

  protected override get kind(): string {
    return 'LazySafetensorsFile';
  }

  /** @internal Where a tensor's bytes lie in the file. @throws FormatError when there is no such tensor */
  place(name: string): { readonly begin: number; readonly end: number } {
    const { begin, end } = this.find('place', name).info;
    return { begin: this.#dataStart + begin, end: this.#dataStart + end };
  }

  async #read({ begin, end }: TensorInfo): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.#source.read(this.#dataStart + begin, this.#dataStart + end));
  }

  /** The tensor's bytes, read now. @throws FormatError when there is no such tensor; errors of the source */
  async bytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(this.find('bytes', name).info);
  }

  /** The values in the dtype's own array (F16 and BF16 as float32). @throws FormatError */
  async array(name: string): Promise<TypedArray> {
    const { where, info } = this.find('array', name);
    return decode(where, name, info.dtype, await this.#read(info));
  }

  /** The values as float32; for floating-point dtypes. @throws FormatError */
  async f32(name: string): Promise<Float32Array> {
    const { where, info } = this.find('f32', name);
    return toFloat32(where, name, info.dtype, decode(where, name, info.dtype, await this.#read(info)));
  }
}

/**
 * Opens a file without reading its tensors; the header goes through the checks of `parseSafetensors`.
 * @param source - a Blob, a URL (HTTP by Range; in Node also `file:`), or `{ size, read }`
 * @throws FormatError for what the format does not allow; TypeError; errors of the source
 * @example
 * const file = await openSafetensors(new URL('https://example.org/model.safetensors'));
 * const weight = await file.f32(file.names[0]);
 */
export async function openSafetensors(source: ByteSource): Promise<LazySafetensorsFile> {
  return openSafetensorsAs('openSafetensors', source);
}

/** The same for a function of another name, which its errors begin with. */
export async function openSafetensorsAs(where: string, source: ByteSource): Promise<LazySafetensorsFile> {
  const opened = await openSource(where, source);
  const length = headerLength(where, await opened.read(0, Math.min(8, opened.size)), opened.size);
  const header = parseHeader(where, await opened.read(8, 8 + length), opened.size);
  return new LazySafetensorsFile(null, opened, header);
}
