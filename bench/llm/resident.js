/**
 * A process of its own that does one job by a model, on one thread, out of the built package, and prints the most bytes that lay in
 * memory (`maxRSS`, save that Linux counts the parent's memory into a child's: there the same figure of its own): it reads 256 tokens
 * and writes 64, or takes three steps of training over 256. `engines.ts` starts it: `node resident.js MODEL KERNELS JOB`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { AdamW, clipGradNorm, createRuntime, LoraModel, scale } from '../../dist/index.js';
import { causalLoss, generate, loadModel } from '../../dist/models/index.js';

const TOKENS = 256;
const WRITTEN = 64;
const STEPS = 3;

const [path, kernels, job] = process.argv.slice(2);
const rt = await createRuntime({ threads: 1, kernels });
const { model, config } = await loadModel(rt, path);
const ids = Int32Array.from({ length: TOKENS }, (_, i) => (i * 7919) % config.vocabSize);

const write = async () => {
  let count = 0;
  for await (const _ of generate(model, ids, { maxTokens: WRITTEN })) count++;
  if (count !== WRITTEN) throw new Error(`resident: wrote ${count} tokens, expected ${WRITTEN}`);
};

const train = (checkpointing) => {
  const lora = LoraModel.attach(model, { r: 8, loraAlpha: 16, targetModules: 'all-linear' });
  model.gradientCheckpointing = checkpointing;
  const parameters = lora.trainableParameters();
  const optimizer = new AdamW(parameters, { lr: 2e-3 });
  const losses = Array.from({ length: STEPS }, () =>
    rt.scope(() => {
      optimizer.zeroGrad();
      const { sum, count } = causalLoss(model, rt.tensor(ids, [1, TOKENS]), ids);
      const loss = scale(sum, 1 / count);
      loss.backward();
      clipGradNorm(parameters, 1);
      optimizer.step();
      return loss.item();
    }),
  );
  if (!(losses.at(-1) < losses[0])) throw new Error(`resident: losses are ${losses}, expected them to fall`);
};

const JOBS = {
  generation: write,
  training: () => train(false),
  'training with checkpointing': () => train(true),
};
if (!(job in JOBS)) throw new Error(`resident: the job is ${job}, expected ${Object.keys(JOBS).join(', ')}`);
await JOBS[job]();
rt.dispose();
const status = '/proc/self/status';
const own = existsSync(status) ? /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(status, 'utf8')) : null;
process.stdout.write(String(1024 * (own === null ? process.resourceUsage().maxRSS : Number(own[1]))));
