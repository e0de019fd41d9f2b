/** What a run tells while it goes, and at its end. */

/** An optimiser step. */
export interface StepEvent {
  readonly type: 'step';
  /** Optimiser steps so far, this one among them. */
  readonly step: number;
  /** The epoch that the step was in, counted from 0. */
  readonly epoch: number;
  /** The mean loss over all that counted in the step's batches, before it; 0 where nothing did. */
  readonly loss: number;
  /** How many examples or unmasked tokens counted. */
  readonly count: number;
  /** The learning rate of the step, of the first group that has one. */
  readonly lr: number;
  /** The gradients' norm before clipping. */
  readonly gradNorm: number;
  /** How long the step took. */
  readonly seconds: number;
}

/** An evaluation. */
export interface EvalEvent {
  readonly type: 'eval';
  /** Optimiser steps before it. */
  readonly step: number;
  /** The mean loss over the evaluation's batches, or what the function gave. */
  readonly value: number;
  /** Whether it is the best so far. */
  readonly best: boolean;
  readonly seconds: number;
}

/** A checkpoint that the store has taken. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** Optimiser steps in it. */
  readonly step: number;
  readonly seconds: number;
}

/** What `trainer.run()` gives, one after the other. */
export type TrainEvent = StepEvent | EvalEvent | CheckpointEvent;

/** Numbers of a step that stay: `StepEvent` without what differs between two equal runs. */
export type StepRecord = Omit<StepEvent, 'type' | 'seconds'>;

/** Numbers of an evaluation that stay. */
export type EvalRecord = Omit<EvalEvent, 'type' | 'seconds'>;

/** All steps and evaluations so far, those before a resume among them. */
export interface TrainHistory {
  readonly steps: readonly StepRecord[];
  readonly evaluations: readonly EvalRecord[];
}

/** Why a run ended: it had all its steps, an evaluation stopped it, or its signal did; only the latter can go on. */
export type TrainEnd = 'finished' | 'early-stop' | 'aborted';

/** What a run came to. */
export interface TrainResult {
  readonly reason: TrainEnd;
  /** Optimiser steps in all. */
  readonly step: number;
  /** The best evaluation; null without any. */
  readonly best: { readonly step: number; readonly value: number } | null;
  readonly history: TrainHistory;
  /** What was odd but no error. */
  readonly warnings: readonly string[];
}
