/** An operation of one's own on the tape: y = x², its gradient checked against differences. Run: `npx tsx examples/custom-op.ts` */
import { createRuntime, defineOperation, mul, scale, sum, type Tensor } from 'lora-wasm';

const square = defineOperation({
  name: 'square',
  forward: ({ x }: { x: Tensor }) => ({ y: mul(x, x), keep: { x } }),
  backward: ({ dy, kept }) => ({ x: scale(mul(dy, kept.x), 2) }),
});

const rt = await createRuntime();
const values = [-2, -0.5, 0, 1, 3];
const x = rt.tensor(values, [values.length], { requiresGrad: true });
sum(square({ x })).backward();
const gradient = x.grad!.toArray();

const step = 1e-3;
const total = (at: readonly number[]): number => at.reduce((all, value) => all + value * value, 0);
for (const [i, value] of values.entries()) {
  const up = total(values.with(i, value + step));
  const down = total(values.with(i, value - step));
  const difference = (up - down) / (2 * step);
  console.log(`d/dx at ${value}: tape ${gradient[i]!.toFixed(4)}, differences ${difference.toFixed(4)}`);
  if (Math.abs(gradient[i]! - difference) > 1e-4) process.exitCode = 1;
}
rt.dispose();
