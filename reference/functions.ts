/** Activations and their slopes in float64, everywhere on the line. */

/** By the power series of erf, good to 1e-13; beyond 2.5 by the continued fraction (Abramowitz and Stegun 7.1.14). */
function erfc(z: number): number {
  if (z < 0) return 2 - erfc(-z);
  if (z < 2.5) {
    let term = z;
    let total = z;
    for (let n = 1; n < 80; n++) {
      term *= (-z * z) / n;
      total += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = 0;
  for (let k = 200; k > 0; k--) fraction = k / 2 / (z + fraction);
  return Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI));
}

/** Φ. */
export function normalCdf(x: number): number {
  return erfc(-x / Math.SQRT2) / 2;
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

const ROOT = Math.sqrt(2 / Math.PI);

/** The form by tanh, or the exact one: x·Φ(x). */
export function gelu(x: number, approximate: boolean): number {
  return approximate ? (x / 2) * (1 + Math.tanh(ROOT * (x + 0.044715 * x ** 3))) : x * normalCdf(x);
}

export function geluSlope(x: number, approximate: boolean): number {
  if (!approximate) return normalCdf(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
  const t = Math.tanh(ROOT * (x + 0.044715 * x ** 3));
  return (1 + t) / 2 + (x / 2) * (1 - t * t) * ROOT * (1 + 0.134145 * x * x);
}
