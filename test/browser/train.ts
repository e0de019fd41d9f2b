/** A few training steps that threads share, for a page and for a worker: everything that comes out, as numbers and bytes. */
import { AdamW, Linear, LoraModel, mseLoss, type Runtime, Sequential } from 'lora-wasm';

export interface Trained {
  readonly losses: readonly number[];
  /** The adapter's file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Its config file. */
  readonly config: string;
}

/** What the worker says. */
export interface WorkerReport extends Trained {
  readonly threads: number;
  readonly threadsReason: string;
}

export function train(rt: Runtime): Trained {
  const net = new Sequential(new Linear(rt, 300, 500));
  const lora = LoraModel.attach(net, { r: 4, loraAlpha: 8, targetModules: ['0'] });
  const optimizer = new AdamW(lora.trainableParameters(), { lr: 0.01 });
  const [x, target] = [rt.normal([70, 300]), rt.normal([70, 500])];
  const losses = Array.from({ length: 5 }, () =>
    rt.scope(() => {
      optimizer.zeroGrad();
      const loss = mseLoss(lora.forward(x), target);
      loss.backward();
      optimizer.step();
      return loss.item();
    }),
  );
  const files = lora.exportAdapter();
  const bytes = files['adapter_model.safetensors'];
  return { losses, bytes, config: new TextDecoder().decode(files['adapter_config.json']) };
}
