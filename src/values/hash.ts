/**
 * A hash of bytes as they come, 128 bits long: MurmurHash3 (Austin Appleby's, x86, seed 0). It tells whether two models or two
 * data sets are the same, at more than half a gigabyte a second; it is no protection against somebody who wants two to collide.
 */

const [C1, C2, C3, C4] = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93];
/** Bytes that are put in line before they are hashed, where they do not lie so. */
const CHUNK = 2 ** 16;

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

function finish(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

export class Hash {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;
  #length = 0;
  readonly #chunk = new Int32Array(CHUNK / 4);
  readonly #bytes = new Uint8Array(this.#chunk.buffer);
  #filled = 0;

  /** Adds bytes; where calls begin and end makes no difference. */
  update(bytes: Uint8Array): this {
    this.#length += bytes.length;
    let at = 0;
    if (this.#filled === 0 && bytes.byteOffset % 4 === 0) {
      // They lie as they are wanted: no copy.
      const whole = bytes.length - (bytes.length % 16);
      this.#blocks(new Int32Array(bytes.buffer, bytes.byteOffset, whole / 4), whole / 4);
      at = whole;
    }
    while (at < bytes.length) {
      const count = Math.min(CHUNK - this.#filled, bytes.length - at);
      this.#bytes.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === CHUNK) {
        this.#blocks(this.#chunk, CHUNK / 4);
        this.#filled = 0;
      }
    }
    return this;
  }

  /** Adds text by its length and its UTF-16 words, so that two texts never run into each other. */
  text(text: string): this {
    const words = new Uint16Array(text.length);
    for (let i = 0; i < text.length; i++) words[i] = text.charCodeAt(i);
    this.numbers(text.length);
    return this.update(new Uint8Array(words.buffer));
  }

  /** Adds numbers as doubles. */
  numbers(...values: readonly number[]): this {
    return this.update(new Uint8Array(Float64Array.from(values).buffer));
  }

  /** The hash of all bytes so far, as 32 hexadecimal digits. Nothing may be added after it. */
  digest(): string {
    const whole = this.#filled - (this.#filled % 16);
    this.#blocks(this.#chunk, whole / 4);
    const tail = new Int32Array(4);
    new Uint8Array(tail.buffer).set(this.#bytes.subarray(whole, this.#filled));
    let [a, b, c, d] = [this.#a, this.#b, this.#c, this.#d];
    const [t0, t1, t2, t3] = tail as unknown as readonly [number, number, number, number];
    d ^= Math.imul(rotate(Math.imul(t3, C4), 18), C1);
    c ^= Math.imul(rotate(Math.imul(t2, C3), 17), C4);
    b ^= Math.imul(rotate(Math.imul(t1, C2), 16), C3);
    a ^= Math.imul(rotate(Math.imul(t0, C1), 15), C2);
    const length = this.#length | 0;
    [a, b, c, d] = [a ^ length, b ^ length, c ^ length, d ^ length];
    a = (a + b + c + d) | 0;
    [b, c, d] = [(b + a) | 0, (c + a) | 0, (d + a) | 0];
    [a, b, c, d] = [finish(a), finish(b), finish(c), finish(d)];
    a = (a + b + c + d) | 0;
    [b, c, d] = [(b + a) | 0, (c + a) | 0, (d + a) | 0];
    return [a, b, c, d].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** Mixes whole blocks of 16 bytes. */
  #blocks(words: Int32Array, count: number): void {
    let [a, b, c, d] = [this.#a, this.#b, this.#c, this.#d];
    for (let i = 0; i < count; i += 4) {
      a ^= Math.imul(rotate(Math.imul(words[i]!, C1), 15), C2);
      a = (Math.imul((rotate(a, 19) + b) | 0, 5) + 0x561ccd1b) | 0;
      b ^= Math.imul(rotate(Math.imul(words[i + 1]!, C2), 16), C3);
      b = (Math.imul((rotate(b, 17) + c) | 0, 5) + 0x0bcaa747) | 0;
      c ^= Math.imul(rotate(Math.imul(words[i + 2]!, C3), 17), C4);
      c = (Math.imul((rotate(c, 15) + d) | 0, 5) + 0x96cd1c35) | 0;
      d ^= Math.imul(rotate(Math.imul(words[i + 3]!, C4), 18), C1);
      d = (Math.imul((rotate(d, 13) + a) | 0, 5) + 0x32ac3b17) | 0;
    }
    [this.#a, this.#b, this.#c, this.#d] = [a, b, c, d];
  }
}
