/** How the command ends when it could not do what it was asked for: one line on stderr, and the exit code. Called by main.ts. */
import { type Command, CommanderError } from 'commander';
import { messageText } from '../values/format-error.js';
import { Interrupted } from './interrupted.js';
import { print } from './print.js';

/** Prints what an error says, with the way to the usage where the command line itself was wrong. */
export function reportFailure(error: unknown, program: Command): void {
  // Help is a CommanderError too, with exit code 0.
  if (error instanceof CommanderError && error.exitCode === 0) return;
  // What was asked for, without a word.
  if (error instanceof Interrupted) {
    process.exitCode = error.exitCode;
    return;
  }
  const without = error instanceof CommanderError && error.code === 'commander.help';
  const text = error instanceof Error ? error.message : String(error);
  const names = program.commands.map((own) => own.name());
  const line = without ? `no command, expected one of ${names.join(', ')}` : text.replace(/^error: /, '');
  // Commander's mistakes are of usage; those of files say themselves what was expected.
  const hint = error instanceof CommanderError ? `; ${usageOf(names)} shows the usage` : '';
  print(process.stderr, `lora-wasm: ${messageText(line.replace(/\s*\n\s*/g, ' '))}${hint}`);
  process.exitCode = 1;
}

/** Of the command that was asked for, if there is one of that name. */
function usageOf(names: readonly string[]): string {
  const asked = names.find((name) => name === process.argv[2]);
  return asked === undefined ? 'lora-wasm --help' : `lora-wasm ${asked} --help`;
}
