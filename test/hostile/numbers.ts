/** Operations of random shapes against float64 twins, and products on several threads against one: the same bits. */
import type { Random } from '../../reference/random.js';
import {
  conv2d,
  createRuntime,
  layerNorm,
  linear,
  mseLoss,
  type Runtime,
  softmax,
  sum,
} from '../../src/index.js';
import type { Row, Section } from './section.js';

/** Rounding of one float32 operation. */
const U = 2 ** -23;

interface Check {
  readonly name: string;
  /** The largest error as a part of its bound. */
  readonly run: (rt: Runtime, random: Random) => { ratio: number; shape: string };
}

/** The largest |found - wanted| / bound. */
function ratioOf(found: ArrayLike<number>, wanted: (i: number) => { value: number; bound: number }): number {
  let most = 0;
  for (let i = 0; i < found.length; i++) {
    const { value, bound } = wanted(i);
    const ratio = Math.abs(found[i]! - value) / (bound || 2 ** -149);
    if (!(ratio <= most)) most = Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
  }
  return most;
}

/** Σ a·b and Σ|a·b| over `count` terms. */
function dot(count: number, term: (k: number) => number): { value: number; bound: number } {
  let [value, size] = [0, 0];
  for (let k = 0; k < count; k++) {
    const t = term(k);
    value += t;
    size += Math.abs(t);
  }
  return { value, bound: (count + 2) * U * size };
}

function checkLinear(rt: Runtime, random: Random): { ratio: number; shape: string } {
  const size = (): number =>
    random.choose([random.integer(1, 9), random.integer(1, 70), random.integer(1, 300)]);
  const [M, N, K] = [size(), size(), size()];
  const [x, w, dy] = [rt.normal([M, K]), rt.normal([N, K]), rt.normal([M, N])];
  x.requiresGrad = true;
  w.requiresGrad = true;
  const y = linear(x, w);
  y.backward(dy);
  const [X, W, G] = [x.toArray(), w.toArray(), dy.toArray()];
  const ratio = Math.max(
    ratioOf(y.toArray(), (i) => {
      const [m, n] = [Math.floor(i / N), i % N];
      return dot(K, (k) => X[m * K + k]! * W[n * K + k]!);
    }),
    ratioOf(x.grad!.toArray(), (i) => {
      const [m, k] = [Math.floor(i / K), i % K];
      return dot(N, (n) => G[m * N + n]! * W[n * K + k]!);
    }),
    ratioOf(w.grad!.toArray(), (i) => {
      const [n, k] = [Math.floor(i / K), i % K];
      return dot(M, (m) => G[m * N + n]! * X[m * K + k]!);
    }),
  );
  return { ratio, shape: `${M}x${N}x${K}` };
}

function checkConv(rt: Runtime, random: Random): { ratio: number; shape: string } {
  const groups = random.choose([1, 1, 2]);
  const [B, C, O] = [random.integer(1, 3), groups * random.integer(1, 4), groups * random.integer(1, 5)];
  const [H, V] = [random.integer(3, 9), random.integer(3, 9)];
  const [kh, kw, padding, stride] = [
    random.integer(1, 3),
    random.integer(1, 3),
    random.integer(0, 1),
    random.integer(1, 2),
  ];
  const Cg = C / groups;
  const [x, w] = [rt.normal([B, C, H, V]), rt.normal([O, Cg, kh, kw])];
  const y = conv2d(x, w, null, { groups, padding, stride });
  const [X, W] = [x.toArray(), w.toArray()];
  const [, , oh, ow] = y.shape as readonly [number, number, number, number];
  const ratio = ratioOf(y.toArray(), (i) => {
    const column = i % ow;
    const row = Math.floor(i / ow) % oh;
    const o = Math.floor(i / (ow * oh)) % O;
    const b = Math.floor(i / (ow * oh * O));
    const first = Math.floor(o / (O / groups)) * Cg;
    return dot(Cg * kh * kw, (t) => {
      const [c, r, s] = [Math.floor(t / (kh * kw)), Math.floor(t / kw) % kh, t % kw];
      const [at, to] = [row * stride - padding + r, column * stride - padding + s];
      const inside = at >= 0 && at < H && to >= 0 && to < V;
      return inside ? X[((b * C + first + c) * H + at) * V + to]! * W[((o * Cg + c) * kh + r) * kw + s]! : 0;
    });
  });
  return { ratio, shape: `${B}x${C}x${H}x${V} by ${O}x${Cg}x${kh}x${kw}` };
}

function checkSoftmax(rt: Runtime, random: Random): { ratio: number; shape: string } {
  const [M, N] = [random.integer(1, 20), random.integer(1, 400)];
  const x = rt.normal([M, N], random.choose([1, 10, 40]));
  const X = Float64Array.from(x.toArray());
  const ratio = ratioOf(softmax(x).toArray(), (i) => {
    const row = X.subarray(Math.floor(i / N) * N, (Math.floor(i / N) + 1) * N);
    const largest = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    const total = row.reduce((all, value) => all + Math.exp(value - largest), 0);
    const value = Math.exp(X[i]! - largest) / total;
    // The difference of the exponents is rounded once, exp itself within a few roundings, the sum within N.
    return { value, bound: value * U * (Math.abs(X[i]! - largest) + N + 8) + 2 ** -126 };
  });
  return { ratio, shape: `${M}x${N}` };
}

function checkLayerNorm(rt: Runtime, random: Random): { ratio: number; shape: string } {
  const [M, N] = [random.integer(1, 20), random.integer(2, 400)];
  const x = rt.normal([M, N]);
  const X = Float64Array.from(x.toArray());
  const ratio = ratioOf(layerNorm(x, [N]).toArray(), (i) => {
    const row = X.subarray(Math.floor(i / N) * N, (Math.floor(i / N) + 1) * N);
    const middle = row.reduce((all, value) => all + value, 0) / N;
    const variance = row.reduce((all, value) => all + (value - middle) ** 2, 0) / N;
    const value = (X[i]! - middle) / Math.sqrt(variance + 1e-5);
    const size = row.reduce((all, v) => all + Math.abs(v), 0) / N / Math.sqrt(variance + 1e-5);
    return { value, bound: U * (N + 8) * (Math.abs(value) + size) };
  });
  return { ratio, shape: `${M}x${N}` };
}

const CHECKS: readonly Check[] = [
  { name: 'linear, its three products', run: checkLinear },
  { name: 'conv2d', run: checkConv },
  { name: 'softmax', run: checkSoftmax },
  { name: 'layerNorm', run: checkLayerNorm },
];

/** Forward and backward on a runtime, as bits. */
function step(rt: Runtime, [M, N, K]: readonly number[]): string {
  return rt.scope(() => {
    const [x, w] = [rt.normal([M!, K!]), rt.normal([N!, K!])];
    x.requiresGrad = true;
    w.requiresGrad = true;
    const loss = mseLoss(linear(x, w), rt.zeros([M!, N!]));
    sum(loss).backward();
    const parts = [loss, x.grad!, w.grad!].map((tensor) => Buffer.from(tensor.toArray().buffer));
    return Buffer.concat(parts).toString('base64');
  });
}

async function threadRow(
  work: { more: () => boolean; random: Random },
  kernels: 'simd' | 'auto',
): Promise<Row> {
  const { more, random } = work;
  const faults: string[] = [];
  let tried = 0;
  do {
    const seed = random.seed();
    const runtimes: Runtime[] = [];
    for (const threads of [1, 2, 3]) runtimes.push(await createRuntime({ kernels, threads, seed }));
    for (const { engine } of runtimes) if (engine.threading.pool !== null) engine.threading.pool.eager = true;
    for (let i = 0; i < 20 && (i === 0 || more()); i++) {
      const sizes = [random.integer(1, 200), random.integer(1, 300), random.integer(1, 300)];
      const [one, ...others] = runtimes.map((rt) => step(rt, sizes));
      tried++;
      if (others.some((other) => other !== one)) faults.push(`${sizes} with seed ${seed}: other bits`);
    }
    for (const rt of runtimes) rt.dispose();
  } while (more());
  return {
    what: `1, 2 and 3 threads, kernels '${kernels}'`,
    tried: `${tried} steps of random shapes`,
    faults,
    worst: 'the same bits',
  };
}

export const numbers: Section = {
  name: 'numbers',
  share: 0.15,
  async run({ more, time, random }): Promise<Row[]> {
    const rows: Row[] = [];
    for (const kernels of ['simd', 'auto'] as const) {
      const end = performance.now() + time / 4;
      rows.push(await threadRow({ more: () => performance.now() < end, random }, kernels));
    }
    const worst = new Map(CHECKS.map(({ name }) => [name, { ratio: 0, shape: '', tried: 0 }]));
    const faults: string[] = [];
    using rt = await createRuntime({ threads: 1, seed: random.seed() });
    while (more()) {
      const { name, run } = random.choose(CHECKS);
      const { ratio, shape } = rt.scope(() => run(rt, random));
      const seen = worst.get(name)!;
      seen.tried++;
      if (ratio > seen.ratio) Object.assign(seen, { ratio, shape });
      if (!(ratio <= 1)) faults.push(`${name} ${shape}: ${ratio} of the bound`);
    }
    for (const [name, { ratio, shape, tried }] of worst) {
      const own = faults.filter((fault) => fault.startsWith(`${name} `));
      rows.push({
        what: `${name} against float64`,
        tried: `${tried} random shapes`,
        faults: own,
        worst: `${(100 * ratio).toFixed(0)} % of the bound at ${shape}`,
      });
    }
    return rows;
  },
};
