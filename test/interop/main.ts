/**
 * Adapters in other programs: `npm run test:interop [-- --python PATH --random 300 --seed N]`. Real PEFT both ways, fixed
 * configurations and random ones, then what conversion writes in llama.cpp, mlx-lm and diffusers, then language models over GGUF:
 * trained, merged, converted. What the Python lacks is skipped and said: nothing else depends on it.
 */
import { spawnSync } from 'node:child_process';
import { Command, InvalidArgumentError } from 'commander';
import { checkLanguage } from './language/language.js';
import { checkPeft } from './peft.js';
import { checkPrograms } from './programs/programs.js';

const { python, random, seed } = new Command('test:interop')
  .description('Adapters in real PEFT, llama.cpp, mlx-lm and diffusers')
  .option(
    '--python <path>',
    'a Python that has torch, peft, transformers, safetensors and gguf; the programs where it has them: ' +
      'llama-cpp-python, mlx-lm and mlx[cpu], diffusers',
    'python3',
  )
  .option('--random <count>', 'random combinations of options besides the fixed ones', whole, 300)
  .option('--seed <number>', 'of the random combinations; another one every time by default', whole)
  .parse()
  .opts<{ python: string; random: number; seed?: number }>();

if (spawnSync(python, ['-c', 'import peft, transformers, safetensors.torch']).status !== 0) {
  console.log(`skipped: ${python} has no peft; give one that has with --python PATH`);
  process.exit(0);
}
const drawn = seed ?? Math.floor(Math.random() * 2 ** 31);
console.log(`${random} random combinations, --seed ${drawn}`);
const failed = await checkPeft(python, random, drawn);
console.log(failed === 0 ? 'every adapter agrees both ways' : `${failed} do not agree`);
const differing = await checkPrograms(python);
const apart = await checkLanguage(python);
process.exit(failed + differing + apart === 0 ? 0 : 1);

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`'${text}' is no whole number from 0 up`);
  return value;
}
