/** What `lora-wasm train` refuses in the folder of `training-folder.ts`. */
import { fast } from './training-folder.js';

/** What is refused, the words that ask for it, and a part of the message. */
export const REFUSED: readonly [string, readonly string[], RegExp][] = [
  ['no data', ['--out', 'x'], /required option '--data <path>' not specified/],
  [
    'data that is not there',
    ['--data', 'gone', '--out', 'x'],
    /gone: there is no such file, expected rows of JSONL/,
  ],
  ['a folder without rows', ['--data', 'tiny', '--out', 'x'], /train\.jsonl: there is no such file/],
  [
    'a broken line',
    ['--data', 'broken.jsonl', '--out', 'x'],
    /broken\.jsonl: line 2: the line is no JSON \(.*\), expected an object in each line/,
  ],
  [
    'an output that has something',
    [...fast, '--out', 'tiny'],
    /tiny: the folder is not empty, expected a new one, or --resume/,
  ],
  ['an output that is a file', [...fast, '--out', 'broken.jsonl'], /broken\.jsonl: is a file/],
  [
    'metrics that are a folder',
    [...fast, '--out', 'x', '--metrics', 'tiny'],
    /tiny: is a folder, expected a file for --metrics/,
  ],
  [
    'metrics that cannot be',
    [...fast, '--out', 'x', '--metrics', 'broken.jsonl/m'],
    /broken\.jsonl: cannot be written/,
  ],
  [
    'metrics of something else',
    [...fast, '--out', 'x', '--metrics', 'data/train.jsonl'],
    /data.train\.jsonl: is there already, expected another file, or --resume to go on/,
  ],
  [
    'metrics in the place of the output',
    [...fast, '--out', 'x', '--metrics', 'x'],
    /: x: is a folder, expected a file for --metrics/,
  ],
  [
    'rows in another encoding',
    ['--data', 'latin1.jsonl', '--out', 'x'],
    /latin1\.jsonl: line 2: is not UTF-8, expected a text saved as UTF-8/,
  ],
  ['an output that cannot be', [...fast, '--out', 'broken.jsonl/x'], /cannot be written/],
  [
    'steps and epochs',
    [...fast, '--out', 'x', '--steps', '1', '--epochs', '1'],
    /--steps and --epochs are given/,
  ],
  ['too many blocks', [...fast, '--out', 'x', '--layers', '99'], /--layers 99: the model has \d blocks/],
  [
    'a block that is not there',
    [...fast, '--out', 'x', '--layers', '0,99'],
    /--layers has 99, expected 0 to \d/,
  ],
  [
    'measurements of nothing',
    [...fast, '--data', 'data/train.jsonl', '--out', 'x', '--eval-every', '2'],
    /--eval-every 2 without rows to measure, expected --valid or --valid-split/,
  ],
  [
    'a warm-up beyond the end',
    [...fast, '--out', 'x', '--steps', '3', '--warmup', '4'],
    /--warmup 4 is more than the 3 steps, expected at most 3/,
  ],
  [
    'early stop without measurements',
    [...fast, '--out', 'x', '--early-stop', '1', '--eval-every', '0'],
    /--early-stop without measurements/,
  ],
  [
    'a target that is none',
    [...fast, '--out', 'x', '--target-modules', 'nothing'],
    /^lora-wasm: --target-modules: 'nothing' matches no layer/,
  ],
  ['half a rank', [...fast, '--out', 'x', '--r', '1.5'], /--r.* Expected a whole number from 1/],
  [
    'a schedule that is none',
    [...fast, '--out', 'x', '--schedule', 'up'],
    /Allowed choices are constant, linear, cosine/,
  ],
  [
    'another option than the checkpoint has',
    [...fast, '--out', 'whole', '--resume', '--r', '8', '--lora-dropout', '0.1'],
    /whole: the checkpoint was made with --r 4, this run has 8/,
  ],
  [
    'another rate than the checkpoint has',
    [...fast.with(3, '0.02'), '--out', 'whole', '--resume', '--r', '4', '--lora-dropout', '0.1'],
    /whole: the checkpoint was made with --lr 0\.01, this run has 0\.02/,
  ],
  [
    'other data',
    ['--data data/valid.jsonl --lr 0.01 --batch-size 2 --out whole --resume --r 4 --lora-dropout 0.1'],
    /whole: the checkpoint was made with /,
  ],
];
