/**
 * The README's code as a newcomer meets it: each block is a file of its own in an empty project that has the built package,
 * with the files that it names, and runs in a process; the commands run after it. What it prints is what the page says.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HAS_MODEL, MODEL_PATH } from './golden-support/smollm2.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const PEFT = join(ROOT, 'test/golden/peft/linear');

let project = '';

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'lora-wasm-readme-'));
  mkdirSync(join(project, 'node_modules'));
  symlinkSync(ROOT, join(project, 'node_modules/lora-wasm'));
  // Written by PEFT.
  cpSync(join(PEFT, 'base.safetensors'), join(project, 'base.safetensors'));
  cpSync(join(PEFT, 'adapter'), join(project, 'their-adapter'), { recursive: true });
});

afterAll(() => {
  if (project !== '') rmSync(project, { recursive: true, force: true });
});

const blocksOf = (page: string, language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code]) => code!);

function run(args: readonly string[]): string {
  return execFileSync(process.execPath, args, { cwd: project, encoding: 'utf8' });
}

/** A block of TypeScript in a process of its own; what it prints. */
function runBlock(code: string): string {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  };
  writeFileSync(join(project, 'block.mjs'), ts.transpileModule(code, { compilerOptions }).outputText);
  return run(['block.mjs']);
}

test('the page is at most 200 lines, and every block is of a language that a test runs', () => {
  expect(README.trimEnd().split('\n').length).toBeLessThanOrEqual(200);
  const languages = [...README.matchAll(/^```(\S+)\n/gm)].map(([, language]) => language);
  expect([...new Set(languages)].sort()).toEqual(['html', 'sh', 'text', 'ts']);
});

test.skipIf(!HAS_MODEL)(
  'the language model answers what stands at the beginning, to the page about models too',
  () => {
    const [command, said] = blocksOf(README, 'text')[0]!.trim().split('\n');
    const [, options, prompt] = /^\$ npx lora-wasm (generate .*) "(.*)"$/.exec(command!)!;
    const args = options!.replace('SmolLM2-135M-Instruct.Q4_1.gguf', 'model.gguf').split(' ');
    symlinkSync(MODEL_PATH, join(project, 'model.gguf'));
    expect(run([join(ROOT, 'dist/cli/main.js'), ...args, prompt!])).toBe(`${said}\n`);
    const [block] = blocksOf(readFileSync(join(ROOT, 'docs/models.md'), 'utf8'), 'ts');
    const begun = runBlock(block!);
    expect(begun).toMatch(/^The sky is /);
    expect(said!.startsWith(begun)).toBe(true);
  },
);

test('the quickstart prints what stands below it', () => {
  const [, said] = blocksOf(README, 'text');
  const [block] = blocksOf(README, 'ts');
  const printed = runBlock(block!);
  // The last digits are those of the kernels that the engine has.
  expect(printed.startsWith(said!.trim().replace('...', ''))).toBe(true);
  const [base, adapted] = /base has (\d+) right, with the adapter (\d+)/.exec(printed)!.slice(1).map(Number);
  expect(adapted! - base!).toBeGreaterThan(200);
  expect(adapted).toBeGreaterThan(970);
});

test("PEFT's adapter is loaded and saved, and the commands take what was saved", () => {
  const [, block] = blocksOf(README, 'ts');
  expect(runBlock(block!)).toContain('fc1');
  const weights = (folder: string): Buffer =>
    readFileSync(join(project, folder, 'adapter_model.safetensors'));
  expect(weights('my-adapter').equals(weights('their-adapter'))).toBe(true);
  const commands = blocksOf(README, 'sh')
    .flatMap((code) => code.trim().split('\n'))
    .filter((line) => line.startsWith('npx lora-wasm '));
  expect(commands).toHaveLength(2);
  const printed = commands.map((line) =>
    run([join(ROOT, 'dist/cli/main.js'), ...line.replace('npx lora-wasm ', '').split(' ')]),
  );
  expect(printed[0]).toContain('fc2');
  expect(existsSync(join(project, 'my-adapter-mlx/adapters.safetensors'))).toBe(true);
});

test('the blocks about several adapters and about layers of your own run', () => {
  const [several, own] = blocksOf(readFileSync(join(ROOT, 'docs/adapters.md'), 'utf8'), 'ts');
  expect(runBlock(several!)).toMatch(/\[ 3, 2 \]/);
  expect(runBlock(own!)).toMatch(/\[ 3, 8 \] \[ '0', '1' \]/);
});

test('the block about training runs, and a second time it has nothing left to do', () => {
  const [block] = blocksOf(readFileSync(join(ROOT, 'docs/train.md'), 'utf8'), 'ts');
  const first = runBlock(block!).trim().split('\n');
  const steps = first.filter((line) => /^\d/.test(line));
  expect(steps.length).toBeGreaterThan(10);
  expect(first.filter((line) => line.startsWith('validation')).length).toBe(steps.length / 5);
  // No event is left.
  expect(runBlock(block!)).toBe('');
});
