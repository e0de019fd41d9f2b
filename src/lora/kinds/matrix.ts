/** What the layers over a matrix share, Linear and Embedding: deltas, norms and scaled outputs by the layout of their weight. */
import { addMatrixDelta, type MatrixLayout, matrixNorms, scaleMatrixOutputs } from '../maths/matrix-delta.js';
import { type BaseLayer, type LayerAdaptation, withOwnWeight } from './adaptation.js';

type OverMatrix<L extends BaseLayer> = Pick<
  LayerAdaptation<L>,
  'addDelta' | 'norms' | 'scaleOutputs' | 'deltaShape' | 'expandWeight' | 'withWeight'
>;

/** @param layoutOf - the sizes of a layer's weight and how it lies */
export function overMatrix<L extends BaseLayer>(layoutOf: (layer: L) => MatrixLayout): OverMatrix<L> {
  return {
    addDelta: (layer, factors, w, out) => addMatrixDelta(layoutOf(layer), factors, w, out),
    norms: (layer, factors, w, out) => matrixNorms(layoutOf(layer), factors, w, out),
    scaleOutputs: (layer, g, weight) => scaleMatrixOutputs(layoutOf(layer), g, weight),
    deltaShape: ({ weight }) => weight.shape,
    expandWeight() {
      throw new Error('a delta has the shape of its weight, which needs no other');
    },
    withWeight: withOwnWeight,
  };
}
