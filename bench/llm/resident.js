/**
 * A process of its own that loads a model out of the built package, reads a prompt and writes on, one thread, and prints the most
 * bytes that lay in memory (`maxRSS`, save that Linux counts the parent's memory into a child's: there the same figure of its own). `engines.ts` starts it: `node resident.js MODEL TOKENS_READ TOKENS_WRITTEN KERNELS`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRuntime } from '../../dist/index.js';
import { generate, loadModel } from '../../dist/models/index.js';

const [path, read, written, kernels] = process.argv.slice(2);
const rt = await createRuntime({ threads: 1, kernels });
const { model, config } = await loadModel(rt, path);
const prompt = Int32Array.from({ length: Number(read) }, (_, i) => (i * 7919) % config.vocabSize);
let count = 0;
for await (const _ of generate(model, prompt, { maxTokens: Number(written) })) count++;
rt.dispose();
if (count !== Number(written)) throw new Error(`resident: wrote ${count} tokens, expected ${written}`);
const status = '/proc/self/status';
const own = existsSync(status) ? /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(status, 'utf8')) : null;
process.stdout.write(String(1024 * (own === null ? process.resourceUsage().maxRSS : Number(own[1]))));
