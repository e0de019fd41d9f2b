/** What the layers over a matrix share, Linear and Embedding: deltas, norms and scaled outputs by the layout of their weight. */

import type { Tensor } from '../../tensor/tensor.js';
import type { LoraFactors } from '../maths/factors.js';
import { addMatrixDelta, type MatrixLayout, matrixNorms, scaleMatrixOutputs } from '../maths/matrix-delta.js';
import type { BaseLayer } from './base-layer.js';
import { LoraLayer } from './lora-layer.js';

export abstract class MatrixLoraLayer<Base extends BaseLayer> extends LoraLayer<Base> {
  /** @internal The sizes of the weight and how it lies. */
  protected abstract readonly matrix: MatrixLayout;

  /** @internal */
  addDelta(factors: LoraFactors, w: number, out: number): void {
    addMatrixDelta(this.matrix, factors, w, out);
  }

  /** @internal */
  norms(factors: LoraFactors, w: Tensor, out: number): void {
    matrixNorms(this.matrix, factors, w, out);
  }

  /** @internal */
  scaleOutputs(g: number, weight: number): void {
    scaleMatrixOutputs(this.matrix, g, weight);
  }
}
