/** Bits of twenty training steps of the MNIST network with rank-1 LoRA, of its adapter, and of the same with DoRA and dropout. */
import { AdamW, createRuntime, crossEntropy, type LoraConfig, LoraModel } from 'lora-wasm';
import { Net } from '../../examples/mnist/model.js';
import { Bits, draws } from './hash.js';

const STEPS = 20;
const BATCH = 10;
const TARGETS = { targetModules: ['fc1', 'fc2', 'fc3'] };

export async function stepBits(): Promise<Record<string, string>> {
  return {
    'MNIST steps, LoRA': await train({ ...TARGETS, r: 1, loraAlpha: 1 }),
    'MNIST steps, DoRA with dropout': await train({ ...TARGETS, r: 8, useDora: true, loraDropout: 0.1 }),
  };
}

async function train(config: LoraConfig): Promise<string> {
  const rt = await createRuntime({ kernels: 'simd', seed: 5, threads: 1 });
  const lora = LoraModel.attach(new Net(rt), config);
  const optimizer = new AdamW(lora.trainableParameters(), { lr: 1e-2 });
  const draw = draws(9);
  const bits = new Bits();
  for (let step = 0; step < STEPS; step++) {
    rt.scope(() => {
      optimizer.zeroGrad();
      const x = rt.tensor(draw(BATCH * 784), [BATCH, 784]);
      const labels = rt.tensor(Int32Array.from({ length: BATCH }, (_, i) => (i + step) % 10));
      const loss = crossEntropy(lora.forward(x), labels);
      loss.backward();
      optimizer.step();
      bits.add([loss.item()]);
    });
  }
  for (const parameter of lora.trainableParameters()) bits.add(parameter.toArray());
  rt.dispose();
  return bits.end();
}
