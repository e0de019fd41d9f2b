/** Whether an error is one that a user can work with: of a class that the package throws, its message naming what was called. */
import { AdapterError, FormatError, OutOfMemoryError, WorkerError } from '../../../src/index.js';
import { CheckpointError, TrainingError } from '../../../src/train/index.js';

const CLASSES: readonly unknown[] = [
  ...[Error, TypeError, RangeError],
  ...[AdapterError, FormatError, OutOfMemoryError, WorkerError],
  ...[CheckpointError, TrainingError],
];

/** A fault of a file is told by its place in the file, whoever reads it. */
const IN_A_FILE = /^(?:safetensors|adapter_config\.json|base config\.json|base model|GGUF): /;

/** Members of a file name the function that the file came from, which may be another reader. */
const OF_A_FILE = /^(?:SafetensorsFile|LazySafetensorsFile|SafetensorsIndex)\./;

/** Longest message. */
const LIMIT = 4000;

/**
 * @param name - of the target
 * @param called - what a message may begin with
 * @returns what is wrong with what was thrown, or null
 */
export function faultOf(name: string, called: readonly string[], thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return `threw ${String(thrown)}, which is no Error`;
  const { message } = thrown;
  // What the file system says of a path has the path and the reason in it.
  if ('code' in thrown && 'syscall' in thrown) return null;
  const shown = `${thrown.constructor.name}: ${message.slice(0, 300)}`;
  if (!CLASSES.includes(thrown.constructor)) return `threw ${shown}, expected an error of the package`;
  if (message.length > LIMIT) return `a message of ${message.length} characters: ${shown}`;
  // Memory is short wherever it is asked for; the error has numbers to react to.
  if (thrown instanceof OutOfMemoryError) return null;
  if (thrown instanceof FormatError && IN_A_FILE.test(message)) return null;
  if (OF_A_FILE.test(name) && /^(?:parse|open)Safetensors: /.test(message)) return null;
  if (called.some((words) => begins(message, words))) return null;
  // A model's forward is its layers': the one that got the wrong input says so. What a caller's function throws is the caller's.
  const inside =
    (/\.(?:forward|verifyMerge)$/.test(name) && /^\w+\.forward: /.test(message)) ||
    (/\.(?:scope|noGrad|withAdaptersDisabled|withAdapterNames)$/.test(name) && /^square: /.test(message)) ||
    (name === 'defineOperation()' && /^mul: /.test(message));
  return inside ? null : `threw ${shown}, expected a message that begins with ${called[0]}`;
}

function begins(message: string, words: string): boolean {
  return message.startsWith(words) && !/^[\w$]/.test(message.slice(words.length));
}
