/** Softmax cross-entropy of a linear head in float64, with gradients: the twin of `linearCrossEntropy`. */
import { addProduct, asColumns, asRows, newSums } from './products.js';

type Values = ArrayLike<number>;

/** hidden [M, K], weight [N, K], a label for each row. */
export interface HeadInputs {
  readonly hidden: Values;
  readonly weight: Values;
  readonly labels: readonly number[];
  readonly ignoreIndex?: number;
}

/** The sum of the losses of the rows that count, how many these are, and the gradients of that sum. */
export interface HeadLoss {
  readonly loss: number;
  readonly count: number;
  readonly dhidden: Float64Array;
  readonly dweight: Float64Array;
}

export function headLoss({ hidden, weight, labels, ignoreIndex = -100 }: HeadInputs): HeadLoss {
  const M = labels.length;
  const K = hidden.length / M;
  const N = weight.length / K;
  const logits = addProduct(newSums(M * N), N, K, asRows(hidden, K), asColumns(weight, K)).values;
  const d = new Float64Array(M * N);
  let [loss, count] = [0, 0];
  for (const [m, label] of labels.entries()) {
    if (label === ignoreIndex) continue;
    const row = logits.subarray(m * N, (m + 1) * N);
    const top = row.reduce((most, v) => Math.max(most, v), Number.NEGATIVE_INFINITY);
    const sum = row.reduce((total, v) => total + Math.exp(v - top), 0);
    loss += top + Math.log(sum) - row[label]!;
    count++;
    for (let n = 0; n < N; n++) d[m * N + n] = Math.exp(row[n]! - top) / sum - (n === label ? 1 : 0);
  }
  const dhidden = addProduct(newSums(M * K), K, N, asRows(d, N), asRows(weight, K)).values;
  const dweight = addProduct(newSums(N * K), K, M, asColumns(d, N), asRows(hidden, K)).values;
  return { loss, count, dhidden, dweight };
}
