/** The demo's options: names, ranges, defaults. A bad value ends the program with the option and its range. */
import { Command, InvalidArgumentError, Option } from 'commander';

export interface DemoOptions {
  readonly epochs: number;
  readonly batchSize: number;
  readonly rank: number;
  readonly alpha: number;
  readonly lr: number;
  readonly seed: number;
  readonly digit?: number;
  readonly kernels: 'auto' | 'simd' | 'relaxed-simd';
  readonly trainImages: number;
  readonly steps: number;
  readonly rounds: number;
  readonly json?: string;
}

function integer(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high) {
      throw new InvalidArgumentError(`Expected an integer from ${low} to ${high}.`);
    }
    return value;
  };
}

function positive(high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value > 0 && value <= high))
      throw new InvalidArgumentError(`Expected a number above 0, at most ${high}.`);
    return value;
  };
}

export function readOptions(argv: readonly string[]): DemoOptions {
  return new Command('demo')
    .description(
      'Trains a network on real handwritten digits, adapts it to one digit with LoRA, switches, merges and saves.',
    )
    .option('--epochs <n>', 'passes over the training images, 1 to 100', integer(1, 100), 1)
    .option('--batch-size <n>', 'images a step, 1 to 1000', integer(1, 1000), 10)
    .option('--rank <n>', 'rank r of the adapters, 1 to 784', integer(1, 784), 1)
    .option('--alpha <x>', 'lora_alpha, above 0', positive(1e6), 1)
    .option('--lr <x>', 'learning rate of Adam, above 0, at most 1', positive(1), 1e-3)
    .option('--seed <n>', 'seed of weights and order, 0 to 4294967295', integer(0, 2 ** 32 - 1), 0)
    .option('--digit <n>', 'digit to fine-tune on, 0 to 9 (default: the one with most errors)', integer(0, 9))
    .addOption(
      new Option('--kernels <build>', 'kernel build')
        .choices(['auto', 'simd', 'relaxed-simd'])
        .default('auto'),
    )
    .option('--train-images <n>', 'training images to use, 100 to 8000', integer(100, 8000), 8000)
    .option('--steps <n>', 'batches of each fine-tuning, 1 to 10000', integer(1, 10_000), 100)
    .option('--rounds <n>', 'rounds in which steps are timed, 1 to 100', integer(1, 100), 12)
    .option('--json <file>', 'also write the results to this file')
    .allowExcessArguments(false)
    .parse(argv)
    .opts<DemoOptions>();
}
