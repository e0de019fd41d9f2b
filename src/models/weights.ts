/** Where a model being built takes its parameters from: made empty here, filled by the loader. */
import { Embedding } from '../nn/embedding.js';
import { Linear } from '../nn/linear.js';
import { RMSNorm } from '../nn/rms-norm.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { WeightDType } from '../values/dtypes.js';

/** Type of the weight of that name. */
export type DTypeOf = (name: string) => WeightDType;

/** Makes the layers of a model by their names, their weights frozen and zero until they are filled. */
export class WeightMaker {
  readonly runtime: Runtime;
  readonly #dtypeOf: DTypeOf;

  /** What was made, for the case that not all of it can be. */
  readonly #made: Parameter[] = [];

  constructor(runtime: Runtime, dtypeOf: DTypeOf) {
    this.runtime = runtime;
    this.#dtypeOf = dtypeOf;
  }

  #parameter(name: string, shape: number[]): Parameter {
    const dtype = this.#dtypeOf(name);
    const made = this.runtime.parameter(null, shape, { dtype, requiresGrad: false });
    this.#made.push(made);
    return made;
  }

  linear(name: string, inFeatures: number, outFeatures: number, bias: boolean): Linear {
    const weight = this.#parameter(`${name}.weight`, [outFeatures, inFeatures]);
    const layer = new Linear(this.runtime, inFeatures, outFeatures, { weight, bias });
    if (layer.bias !== null) {
      layer.bias.requiresGrad = false;
      this.#made.push(layer.bias);
    }
    return layer;
  }

  /** A head over the rows of an embedding. */
  tied(embedding: Embedding): Linear {
    const { embeddingDim, numEmbeddings, weight } = embedding;
    return new Linear(this.runtime, embeddingDim, numEmbeddings, { weight, bias: false });
  }

  embedding(name: string, rows: number, size: number): Embedding {
    return new Embedding(this.runtime, rows, size, {
      weight: this.#parameter(`${name}.weight`, [rows, size]),
    });
  }

  norm(size: number, eps: number): RMSNorm {
    const layer = new RMSNorm(this.runtime, size, { eps });
    layer.weight.requiresGrad = false;
    this.#made.push(layer.weight);
    return layer;
  }

  /** Gives back what was made. */
  disposeAll(): void {
    for (const parameter of this.#made) parameter.block.dispose();
  }
}
