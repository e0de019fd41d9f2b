/**
 * Language models over GGUF in other programs: an adapter that the command trained opens in PEFT on the dequantised weights, one of
 * PEFT's comes back, the merged folder opens in transformers, and the converted adapter writes the same in llama.cpp.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSafetensors } from '../../../src/formats/index.js';
import { parseRows, type TokenRow } from '../../../src/train/index.js';
import { apart, command, logitsOf, lossOf, over } from './here.js';
import { type Subject, subjects } from './models.js';

/** Differences of losses, and of logits over the largest of them: float32 sums in two orders. */
const BOUND = 1e-4;
/** What llama.cpp may be off by without an adapter: it rounds what it multiplies quantised weights with to eight bits. */
const LLAMA_OFF = 0.1;
/** Two logits as near as this may come in either order, whatever computes them. */
const NEAR = 0.01;
const TOKENS = 24;

/** One check: what to say of it, or an error. */
type Check = (subject: Subject, job: Job) => Promise<string>;

/** Where a subject's files are, and what is compared on. */
interface Job {
  readonly python: string;
  readonly folder: string;
  readonly rows: readonly TokenRow[];
}

const CHECKS: readonly (readonly [string, Check])[] = [
  ['adapters in PEFT and back', checkAdapters],
  ['merged, in transformers', checkMerged],
  ['converted, in llama.cpp', checkLlama],
];

/** Prints a line for each check of each model; how many differ. */
export async function checkLanguage(python: string): Promise<number> {
  const missing = ['llama_cpp'].filter((name) => !has(python, name));
  let differing = 0;
  for (const subject of subjects(process.env.MODELS_DIR)) {
    const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-language-'));
    try {
      const rows = await trained(subject, folder);
      for (const [name, check] of CHECKS) {
        if (check === checkLlama && missing.length > 0) continue;
        if (!(await told(`${subject.name}, ${name}`, () => check(subject, { python, folder, rows }))))
          differing++;
      }
    } catch (error) {
      differing++;
      console.log(`${subject.name}: differs: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  if (missing.length > 0)
    console.log(`converted, in llama.cpp: skipped: ${python} has no ${missing.join(', no ')}`);
  return differing;
}

async function told(what: string, check: () => Promise<string>): Promise<boolean> {
  try {
    console.log(`${what}: agrees: ${await check()}`);
    return true;
  } catch (error) {
    console.log(`${what}: differs: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

function has(python: string, module: string): boolean {
  return spawnSync(python, ['-c', `import ${module}`]).status === 0;
}

/** The last line that a side prints, read. */
function side(python: string, script: string, ...args: readonly string[]): Record<string, unknown> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(python, ['-B', path, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${script} ended with ${signal ?? status}: ${stderr.slice(-600)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, unknown>;
}

/** Trains an adapter by the command; the rows as tokens. */
async function trained({ path, rows }: Subject, folder: string): Promise<readonly TokenRow[]> {
  const data = join(folder, 'train.jsonl');
  writeFileSync(data, `${rows.join('\n')}\n`);
  const out = join(folder, 'ours');
  const shape = ['--r', '4', '--lora-alpha', '8', '--batch-size', '2', '--steps', '6', '--lr', '5e-3'];
  command('train', '--model', path, '--data', data, '--out', out, ...shape);
  const tokens = await over(path, null, (lm) =>
    parseRows(rows.join('\n'), { tokenizer: lm.tokenizer!, chat: lm.chat }),
  );
  const plain = tokens.map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }));
  writeFileSync(join(folder, 'rows.json'), JSON.stringify(plain));
  return tokens;
}

async function checkAdapters({ path }: Subject, { python, folder, rows }: Job): Promise<string> {
  const there = side(python, 'peft_side.py', 'adapters', path, folder);
  const names = ['base', 'ours', 'theirs'] as const;
  const here: Record<string, number> = {};
  for (const name of names)
    here[name] = await lossOf(path, name === 'base' ? null : join(folder, name), rows);
  const line = names.map((name) => {
    const off = Math.abs(here[name]! - Number(there[name]));
    return [off, `${name} ${here[name]!.toFixed(5)} (apart by ${off.toExponential(1)})`] as const;
  });
  const text = `loss ${line.map(([, part]) => part).join(', ')}`;
  if (!line.every(([off]) => off <= BOUND)) throw new Error(`${text}, expected ${BOUND} at most`);
  // Adapters that do nothing agree with anything.
  for (const name of ['ours', 'theirs'])
    if (!(here[name]! < here.base! - 0.01)) throw new Error(`${text}: '${name}' has not learnt`);
  return text;
}

async function checkMerged(subject: Subject, { python, folder, rows }: Job): Promise<string> {
  const { path, texts } = subject;
  const [ours, merged] = [join(folder, 'ours'), join(folder, 'merged')];
  const to = ['--out', merged, '--dtype', 'f32', '--dequantise'];
  command('merge', '--model', path, '--adapter', ours, ...to);
  writeFileSync(join(folder, 'texts.json'), JSON.stringify(texts));
  const said = side(python, 'peft_side.py', 'merged', folder);
  const file = parseSafetensors(new Uint8Array(readFileSync(join(folder, 'logits.safetensors'))));
  const theirs = file.f32('logits');
  const ids = [...rows[0]!.ids];
  const encoded = (model: string) =>
    over(model, null, (lm) => texts.map((text) => lm.tokenizer!.encode(text, { addSpecialTokens: false })));
  const adapted = await over(path, ours, (lm) => logitsOf(lm, ids));
  const again = await over(merged, null, (lm) => logitsOf(lm, ids));
  const off = { transformers: apart(adapted, theirs), here: apart(adapted, again) };
  const text = `logits apart by ${off.transformers.toExponential(1)} in transformers, ${off.here.toExponential(1)} loaded here; ${texts.length} texts have the same ids`;
  if (!(Math.max(off.transformers, off.here) <= BOUND)) throw new Error(`${text}, expected ${BOUND} at most`);
  const wanted = JSON.stringify(await encoded(path));
  for (const [who, found] of [
    ['transformers', JSON.stringify(said.ids)],
    ['the folder loaded here', JSON.stringify(await encoded(merged))],
  ])
    if (found !== wanted) throw new Error(`ids of ${who} are ${found}, expected ${wanted}`);
  return text;
}

async function checkLlama({ path, prompt }: Subject, { python, folder }: Job): Promise<string> {
  const ours = join(folder, 'ours');
  command('convert', ours, join(folder, 'adapter.gguf'), '--to', 'gguf', '--base', path);
  const ask = ['--prompt', prompt, '--max-tokens', String(TOKENS), '--json'];
  const written = JSON.parse(command('generate', '--model', path, '--adapter', ours, ...ask)) as {
    ids: number[];
    text: string;
  };
  const [asked, base] = await over(path, null, (lm) => {
    const ids = lm.tokenizer!.encode(prompt);
    return [ids, logitsOf(lm, ids)] as const;
  });
  writeFileSync(join(folder, 'greedy.json'), JSON.stringify({ prompt: asked, ids: written.ids }));
  const { ids, text, gap } = side(python, 'llama_cpp_side.py', path, folder);
  const found = parseSafetensors(new Uint8Array(readFileSync(join(folder, 'llama.safetensors')))).f32('base');
  const off = Math.sqrt(base.reduce((sum, value, i) => sum + (value - found[i]!) ** 2, 0) / base.length);
  if (!(apart(base, found) <= LLAMA_OFF))
    throw new Error(`without an adapter logits are ${off} apart in the root mean square`);
  const same = JSON.stringify(ids) === JSON.stringify(written.ids);
  if (same && text !== written.text)
    throw new Error(`the text is ${JSON.stringify(text)}, here ${JSON.stringify(written.text)}`);
  if (same)
    return `${written.ids.length} tokens of greedy text are the same (base ${off.toExponential(1)} off in the root mean square)`;
  // Each of the two logits is off as llama.cpp's are without an adapter: three deviations of their difference.
  const allowed = Math.max(NEAR, 3 * Math.SQRT2 * off);
  const step = written.ids.findIndex((id, i) => id !== (ids as number[])[i]);
  const what = `token ${step + 1} of ${written.ids.length} is another one, likelier there by ${Number(gap).toExponential(1)}`;
  if (!(typeof gap === 'number' && gap <= allowed))
    throw new Error(`${what}, expected ${allowed.toExponential(1)} at most`);
  return `${what}, within ${allowed.toExponential(1)}`;
}
