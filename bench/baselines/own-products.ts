/** The forward and dx products that a LoRA step cannot do without, over the same weights, one kernel call each. */
import type { Module, Runtime, Tensor } from 'lora-wasm';
import { weight } from '../../src/engine/operands.js';
import type { Contest } from '../core/contest.js';
import { BACKWARD_INPUT, FORWARD, operandsAt, type Sizes } from '../core/products.js';

export function ownProducts(
  rt: Runtime,
  { M, r, sizes, inner }: Contest,
  network: Module,
): { run: () => void; dispose: () => void } {
  const weights = new Map(network.namedParameters());
  const made: Tensor[] = [];
  const random = (rows: number, columns: number): number => {
    made.push(rt.uniform([rows, columns], -1, 1));
    return made.at(-1)!.pointer;
  };
  const layers = sizes.map(([N, K], i) => {
    const w = weight(weights.get(`layers.${i}.weight`)!.pointer, N, K);
    const [of, h]: [Sizes, number] = [[M, N, K, r], random(M, r)];
    return {
      forward: operandsAt(FORWARD, of, w, { h, x: random(M, K), b: random(N, r), out: random(M, N) }),
      back: operandsAt(BACKWARD_INPUT, of, w, { h, dy: random(M, N), a: random(r, K), out: random(M, K) }),
    };
  });
  const run = (): void => {
    for (const { forward } of layers) FORWARD.run(rt, forward);
    for (let i = layers.length - 1; i >= (inner ? 0 : 1); i--) BACKWARD_INPUT.run(rt, layers[i]!.back);
  };
  const dispose = (): void => {
    for (const tensor of made) tensor.dispose();
  };
  return { run, dispose };
}
