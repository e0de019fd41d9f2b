/** The bytes of a safetensors file by its header, right or wrong. */

export function file(
  header: string | Uint8Array,
  data = new Uint8Array(0),
  length?: bigint,
): Uint8Array<ArrayBuffer> {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

export const four = new Uint8Array(4);

export const one = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';

export const entry = (fields: string): string => `{"a":{${fields}}}`;
