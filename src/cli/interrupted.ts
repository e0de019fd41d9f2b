/** What ends a command before its end; apart, so that the others load no more than this of what runs a model. */

/** Exit code of a process that Ctrl-C ends. */
export const CTRL_C = 130;

/** The user pressed Ctrl-C, or nobody reads any more. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}
