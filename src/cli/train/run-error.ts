/** What the Trainer and LoraModel say, in the words of the command: its options and files in place of functions. `command.ts` and `adapter.ts` call it. */
import { join } from 'node:path';
import type { Place } from '../../node/folder-store.js';
import { CheckpointError, TrainingError } from '../../train/errors.js';
import { FormatError } from '../../values/format-error.js';
import { UserError } from '../name-errors.js';

/** A message without the function that it begins with, and with the names of options. */
export function inCommand(message: string): string {
  return message
    .replace(/^(?:Trainer\.run|LoraModel\.attach): /, '')
    .replaceAll('tags.--', '--')
    .replace('clipNorm', '--clip-norm');
}

/**
 * An error of a run as the command tells it.
 * @param newest - the checkpoint that was to be gone on from; null where the run was under way
 */
export function runError(error: unknown, out: string, newest: Place | null): unknown {
  if (error instanceof CheckpointError) return new UserError(`${out}: ${inCommand(error.message)}`);
  if (error instanceof TrainingError) return new UserError(inCommand(error.message));
  if (!(error instanceof FormatError) || newest === null) return error;
  const what = inCommand(error.message).replace('trainer.save wrote it', 'it was saved');
  return new UserError(
    `${join(out, 'checkpoints', newest.name)}: ${what}; without this folder --resume goes on from an older one, or begins`,
  );
}
