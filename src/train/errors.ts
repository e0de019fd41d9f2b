/** The errors of training that a caller can react to. */

/** A run that cannot go on: a loss or gradient that is not finite, or a model that learns nothing. The last whole step stays. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
  /** The optimiser step that failed, counted from 1. */
  readonly step: number;

  /** @internal */
  constructor(message: string, step: number) {
    super(message);
    this.step = step;
  }
}

/** A checkpoint that does not go with this run: of another model, other data, other options, kernels or version. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}
