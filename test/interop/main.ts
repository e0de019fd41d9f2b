/**
 * Adapters in other programs: `npm run test:interop [-- --python PATH]`. Real PEFT both ways, then what conversion writes in
 * llama.cpp, mlx-lm and diffusers. What the Python lacks is skipped and said: nothing else depends on it.
 */
import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import { checkPeft } from './peft.js';
import { checkPrograms } from './programs/programs.js';

const { python } = new Command('test:interop')
  .description('Adapters in real PEFT, llama.cpp, mlx-lm and diffusers')
  .option(
    '--python <path>',
    'a Python that has torch, peft, transformers and safetensors; the programs where it has them: ' +
      'llama-cpp-python and gguf, mlx-lm and mlx[cpu], diffusers',
    'python3',
  )
  .parse()
  .opts<{ python: string }>();

if (spawnSync(python, ['-c', 'import peft, transformers, safetensors.torch']).status !== 0) {
  console.log(`skipped: ${python} has no peft; give one that has with --python PATH`);
  process.exit(0);
}
const failed = await checkPeft(python);
console.log(failed === 0 ? 'every adapter agrees both ways' : `${failed} do not agree`);
const differing = await checkPrograms(python);
process.exit(failed + differing === 0 ? 0 : 1);
