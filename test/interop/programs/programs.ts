/**
 * Converted adapters in the programs that read them: tiny random models, adapters that PEFT made on them, and PEFT's outputs.
 * Each program's side loads a model with and without an adapter and says how far it is from PEFT.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readBase, readInput, writeOutput } from '../../../src/cli/files.js';
import { type AdapterFormat, convert } from '../../../src/formats/index.js';

interface Program {
  readonly name: string;
  /** Python's modules, without which the program is skipped. */
  readonly needs: readonly string[];
  readonly to: AdapterFormat;
  /** The name of a converted adapter, as its side looks for it. */
  readonly file: string;
  readonly make: readonly string[];
  readonly check: readonly string[];
}

const TEXT = ['text_models.py'];
const PROGRAMS: readonly Program[] = [
  {
    name: 'llama.cpp',
    needs: ['llama_cpp', 'gguf'],
    to: 'gguf',
    file: 'adapter.gguf',
    make: TEXT,
    check: ['llama_cpp_side.py'],
  },
  {
    name: 'mlx-lm',
    needs: ['mlx.core', 'mlx_lm'],
    to: 'mlx',
    file: 'mlx',
    make: TEXT,
    check: ['mlx_side.py'],
  },
  {
    name: 'diffusers (kohya)',
    needs: ['diffusers'],
    to: 'kohya',
    file: 'adapter.safetensors',
    make: ['diffusers_side.py', 'make'],
    check: ['diffusers_side.py', 'check'],
  },
];

/** A side's line: shares of the largest output. */
interface Case {
  readonly case: string;
  readonly base: number;
  readonly difference: number;
  readonly effect: number;
}

/** Prints a line for each program; how many differ. */
export async function checkPrograms(python: string): Promise<number> {
  const made = new Map<string, string>();
  let differing = 0;
  try {
    for (const program of PROGRAMS) if (!(await checkProgram(python, program, made))) differing++;
  } finally {
    for (const folder of made.values()) rmSync(folder, { recursive: true, force: true });
  }
  return differing;
}

/** @param made - folders of models and adapters by the script that made them, shared by the programs */
async function checkProgram(python: string, program: Program, made: Map<string, string>): Promise<boolean> {
  const { name, needs, make, check } = program;
  const missing = needs.filter((module) => !hasModule(python, module));
  if (missing.length > 0) {
    console.log(`${name}: skipped: ${python} has no ${missing.join(', no ')}`);
    return true;
  }
  try {
    const key = make.join();
    const folder = made.get(key) ?? mkdtempSync(join(tmpdir(), 'lora-wasm-programs-'));
    if (!made.has(key)) {
      made.set(key, folder);
      run(python, [...make, folder]);
    }
    await convertAll(folder, program);
    return report(name, run(python, [...check, folder]));
  } catch (error) {
    // A program that refuses an adapter, or dies of it, is a result like another.
    console.log(`${name}: differs: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

function hasModule(python: string, name: string): boolean {
  const code = `import importlib.util, sys; sys.exit(importlib.util.find_spec('${name}') is None)`;
  return spawnSync(python, ['-c', code]).status === 0;
}

function run(python: string, [script, ...args]: readonly string[]): string {
  const path = fileURLToPath(new URL(script!, import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(python, ['-B', path, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${script} ended with ${signal ?? status}: ${stderr}`);
  return stdout;
}

async function convertAll(folder: string, { to, file }: Program): Promise<void> {
  for (const model of readdirSync(folder)) {
    const base = to === 'kohya' ? null : await readBase(join(folder, model, 'base'));
    const entries = readdirSync(join(folder, model), { withFileTypes: true });
    for (const { name } of entries.filter((entry) => entry.isDirectory() && entry.name !== 'base')) {
      const here = join(folder, model, name);
      const { bytes } = await readInput(join(here, 'peft'));
      const { files } = await convert(bytes, { to, base });
      await writeOutput(join(here, file), to, files, false);
    }
  }
}

/** Programs compute some activations less exactly than PyTorch, with an adapter as without: that much is no fault of the adapter. */
function agrees({ base, difference, effect }: Case): boolean {
  return base <= 1e-3 && difference <= 1e-4 + 4 * base && effect >= 0.1;
}

function report(name: string, output: string): boolean {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  const cases = lines.map((line) => JSON.parse(line) as Case);
  const wrong = cases.filter((found) => !agrees(found));
  const largest = (key: 'base' | 'difference') =>
    Math.max(...cases.map((found) => found[key])).toExponential(1);
  const good = cases.length > 0 && wrong.length === 0;
  console.log(
    good
      ? `${name}: agrees: ${cases.length} adapters, difference ${largest('difference')} at most, ${largest('base')} without an adapter`
      : `${name}: differs: ${wrong.map((found) => JSON.stringify(found)).join(', ') || 'no adapter was read'}`,
  );
  return good;
}
