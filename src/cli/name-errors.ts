/** Errors of the command: which file they are of, in front of the message. */
import { AdapterError } from '../lora/errors.js';
import { FormatError } from '../values/format-error.js';

/** A mistake of the user's: one line, without a stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** What a function calls itself in front of a message. */
const FUNCTION =
  /^(?:convert|readAdapter|baseFromConfig|baseFromGguf|openGguf|LoraModel\.loadAdapter|TextTokenizer\.fromJson): (?:config\.json: )?/;
const CONFIG = /^adapter_config\.json: /;

/**
 * Runs a part that reads a file: an error of its content, and of an adapter that does not fit the model, begins with the file's path.
 * @param config - the path of the config beside it, which some errors are of
 */
export async function ofFile<T>(path: string, config: string | null, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const known = error instanceof FormatError || error instanceof AdapterError;
    if (!known || error.message.startsWith(`${path}: `)) throw error;
    const what = error.message.replace(FUNCTION, '');
    const named = CONFIG.test(what) && config !== null ? config : path;
    throw new FormatError(`${named}: ${what.replace(CONFIG, '')}`, { cause: error });
  }
}

/** A path that is none: a URL is not fetched, and `-` is no file name. @throws UserError */
export function checkPath(path: string, what: string): void {
  if (path === '-')
    throw new UserError(`${what} is '-', expected a path: standard input and output are not used`);
  if (path === '') throw new UserError(`${what} is empty, expected a path`);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path))
    throw new UserError(`${path}: is a URL, expected a path; fetch the files first`);
}
