/** A factor multiplied, or filled up to a larger rank, for targets that hold one scale and one rank. */
import type { LoraArray, LoraModule } from './lora-file.js';

/** B times a factor; B itself where the factor is one. */
export function scaledB({ B }: LoraModule, factor: number): LoraArray {
  return factor === 1 ? B : { shape: B.shape, data: B.data.map((value) => value * factor) };
}

/** Both factors of a matrix layer at a larger rank, filled up with zeros: B·A stays the same. */
export function padded(A: LoraArray, B: LoraArray, rank: number): { A: LoraArray; B: LoraArray } {
  const [r = 0, columns = 0] = A.shape;
  const [rows = 0] = B.shape;
  if (r === rank) return { A, B };
  const a = new Float32Array(rank * columns);
  a.set(A.data);
  const b = new Float32Array(rows * rank);
  for (let i = 0; i < rows; i++) b.set(B.data.subarray(i * r, (i + 1) * r), i * rank);
  return { A: { shape: [rank, columns], data: a }, B: { shape: [rows, rank], data: b } };
}
