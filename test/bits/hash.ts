/** A hash over the bits of results: the first 16 hex digits of SHA-256, fed array by array. */
import { createHash } from 'node:crypto';

export class Bits {
  readonly #hash = createHash('sha256');

  add(values: ArrayLike<number>): this {
    const floats = values instanceof Int32Array ? values : Float32Array.from(values);
    this.#hash.update(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength));
    return this;
  }

  end(): string {
    return this.#hash.digest('hex').slice(0, 16);
  }
}

/** Numbers in [-1, 1) that depend on nothing but the seed. */
export function draws(seed: number): (n: number) => Float32Array {
  let state = seed >>> 0;
  return (n) =>
    Float32Array.from({ length: n }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 31 - 1;
    });
}
