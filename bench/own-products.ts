/** The forward and dx products that a LoRA step cannot do without, over the same weights, one kernel call each. */
import type { Module, Runtime } from 'lora-wasm';
import type { Contest } from './contest.js';

export function ownProducts(
  rt: Runtime,
  { M, r, sizes, inner }: Contest,
  network: Module,
): { run: () => void; dispose: () => void } {
  const weights = network
    .namedParameters()
    .filter(([name]) => name.endsWith('.weight') && !name.includes('lora_'));
  const layers = sizes.map(([N, K], i) => ({
    N,
    K,
    w: weights.find(([name]) => name === `layers.${i}.weight`)![1],
    x: rt.uniform([M, K], -1, 1),
    y: rt.zeros([M, N]),
    dy: rt.uniform([M, N], -1, 1),
    dx: rt.zeros([M, K]),
    h: rt.uniform([M, r], -1, 1),
    a: rt.uniform([r, K], -1, 1),
    b: rt.uniform([N, r], -1, 1),
  }));
  const { products } = rt.engine;
  const run = (): void => {
    for (const { N, K, w, x, y, h, b } of layers) {
      products.forward(
        M,
        N,
        K,
        r,
        x.pointer,
        K,
        w.pointer,
        K,
        h.pointer,
        r,
        b.pointer,
        r,
        0,
        0,
        y.pointer,
        N,
      );
    }
    for (let i = layers.length - 1; i >= (inner ? 0 : 1); i--) {
      const { N, K, w, dy, h, a, dx } = layers[i]!;
      products.backwardInput(
        M,
        N,
        K,
        r,
        dy.pointer,
        N,
        w.pointer,
        K,
        h.pointer,
        r,
        a.pointer,
        K,
        0,
        dx.pointer,
        K,
      );
    }
  };
  const dispose = (): void => {
    for (const { x, y, dy, dx, h, a, b } of layers)
      for (const tensor of [x, y, dy, dx, h, a, b]) tensor.dispose();
  };
  return { run, dispose };
}
