/** What the command says in lines: names come from files of others, and no control characters of theirs reach the terminal. */
import { messageText, printable } from '../values/format-error.js';

export function print(stream: NodeJS.WriteStream, text: string): void {
  stream.write(`${printable(text, true)}\n`);
}

/** A warning, on standard error. */
export function warn(message: string): void {
  print(process.stderr, `warning: ${messageText(message)}`);
}
