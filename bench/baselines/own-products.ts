/** The forward and dx products that a LoRA step cannot do without, over the same weights, one kernel call each. */
import type { Module, Runtime, Tensor } from 'lora-wasm';
import { type Matrix, matrix, weight } from '../../src/engine/operands.js';
import type { Contest } from '../core/contest.js';

export function ownProducts(
  rt: Runtime,
  { M, r, sizes, inner }: Contest,
  network: Module,
): { run: () => void; dispose: () => void } {
  const weights = network
    .namedParameters()
    .filter(([name]) => name.endsWith('.weight') && !name.includes('lora_'));
  const made: Tensor[] = [];
  const random = (rows: number, columns: number): Matrix => {
    const tensor = rt.uniform([rows, columns], -1, 1);
    made.push(tensor);
    return matrix(tensor.pointer, rows, columns);
  };
  const layers = sizes.map(([N, K], i) => {
    const { pointer } = weights.find(([name]) => name === `layers.${i}.weight`)![1];
    const [w, h] = [weight(pointer, N, K), random(M, r)];
    return {
      forward: {
        ...{ x: random(M, K), w, low: { left: h, right: random(N, r) } },
        ...{ colScale: 0, bias: 0, y: random(M, N) },
      },
      backward: {
        ...{ dy: random(M, N), w, low: { left: h, right: random(r, K) } },
        ...{ accumulate: 0 as const, dx: random(M, K) },
      },
    };
  });
  const { products } = rt.engine;
  const run = (): void => {
    for (const { forward } of layers) products.forward(forward);
    for (let i = layers.length - 1; i >= (inner ? 0 : 1); i--) products.backwardInput(layers[i]!.backward);
  };
  const dispose = (): void => {
    for (const tensor of made) tensor.dispose();
  };
  return { run, dispose };
}
