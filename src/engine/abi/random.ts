/** Random numbers: Philox4x32-10; key = (seedLo, seedHi), counter = (element/4, stepLo, layer, stream); element i takes word i%4. */
export interface RandomKernels {
  /** The generator itself: four u32 words of a counter and key, to 16 bytes at out. */
  philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: number): void;
  /** y = low + (high-low)·u, u in [0,1) with 24 bits. */
  randomUniform(
    n: number,
    seedLo: number,
    seedHi: number,
    stream: number,
    layer: number,
    step: number,
    low: number,
    high: number,
    y: number,
  ): void;
  /** Normal numbers, mean 0, standard deviation std, by a method that uses no JavaScript Math. */
  randomNormal(
    n: number,
    seedLo: number,
    seedHi: number,
    stream: number,
    layer: number,
    step: number,
    std: number,
    y: number,
  ): void;
  /** y = x·keep/(1-p), keep drawn per element with probability 1-p; accumulate adds (the backward uses the same call on dy). */
  dropout(
    n: number,
    seedLo: number,
    seedHi: number,
    stream: number,
    layer: number,
    step: number,
    p: number,
    x: number,
    accumulate: number,
    y: number,
  ): void;
}
