// The backward of attention in two kernels, each output written by one share alone: gradients of queries by panels of eight queries as in
// the forward, those of keys and values by panels of eight keys. Probabilities are computed anew from the kept logarithms of the
// sums: p = e^(scale·q·k - lse). With dp = dy·v and delta = Σ dy·y of a row, ds = p·(dp - delta); then dq = scale·ds·k, dk = scale·dsᵀ·q,
// dv = pᵀ·dy (Dao and others, arXiv 2205.14135).
import { optional, scratchOf, vector } from '../checks';
import { exp4 } from '../nn/exp';
import { checkAttention, FACTOR, FIRST, hideEnds, LAST, least, leastFirst, most, moveLanes, panelsOf, placeLanes, queriesOf, SPARE } from './attention';
import { firstKey, gather, LANES, MR, overColumns, overRows, packTiles, packTilesTransposed, scatter, STEP } from './attention-panels';

/** Behind what a panel keeps of its lanes: logarithms and deltas of a panel of queries. */
const LOGS: usize = 192;
const DELTAS: usize = 224;
const LANE_BYTES: usize = 256;

/** Bytes of scratch of one share over `rows` keys (of `attentionBackwardQueries`) or queries (of `attentionBackwardKeys`). */
export function attentionBackwardScratch(rows: i32, D: i32): f64 {
  const steps = <f64>(rows + MR);
  return 16 * steps * <f64>D + 64 * steps + 96 * <f64>D + <f64>LANE_BYTES + 64;
}

/** ds = e^(score - log)·(dp - delta) over `count` steps of two panels, into the first. */
function gradientPanel(count: i32, scores: usize, products: usize, lanes: usize): void {
  const l0 = v128.load(lanes, LOGS);
  const l1 = v128.load(lanes, LOGS + 16);
  const d0 = v128.load(lanes, DELTAS);
  const d1 = v128.load(lanes, DELTAS + 16);
  for (const end = scores + <usize>count * STEP; scores < end; scores += STEP, products += STEP) {
    const p0 = exp4(f32x4.sub(v128.load(scores), l0));
    const p1 = exp4(f32x4.sub(v128.load(scores, 16), l1));
    v128.store(scores, f32x4.mul(p0, f32x4.sub(v128.load(products), d0)));
    v128.store(scores, f32x4.mul(p1, f32x4.sub(v128.load(products, 16), d1)), 16);
  }
}

/** A number in all eight lanes. */
// @ts-ignore: decorator
@inline
function setFactor(lanes: usize, factor: f32): void {
  v128.store(lanes, f32x4.splat(factor), FACTOR);
  v128.store(lanes, f32x4.splat(factor), FACTOR + 16);
}

/** dq of the panels of queries from `from` to below `to`, numbered as in `attentionForward`. */
export function attentionBackwardQueries(from: i32, to: i32, T: i32, S: i32, heads: i32, kvHeads: i32, D: i32, scale: f32, window: i32, offset: i32, q: usize, k: usize, v: usize, starts: usize, lse: usize, dy: usize, delta: usize, accumulate: i32, dq: usize, scratch: usize): void {
  if (!ASC_NO_ASSERT) {
    checkAttention('attentionBackwardQueries', to, T, S, heads, kvHeads, D, offset, q, k, v, starts);
    const rows = queriesOf(to, T, heads, kvHeads);
    vector('attentionBackwardQueries: dy', dy, rows * heads * D);
    vector('attentionBackwardQueries: dq', dq, rows * heads * D);
    vector('attentionBackwardQueries: lse', lse, rows * heads);
    vector('attentionBackwardQueries: delta', delta, rows * heads);
    scratchOf('attentionBackwardQueries: scratch', scratch, <u64>attentionBackwardScratch(S, D));
  }
  const group = heads / kvHeads;
  const panels = panelsOf(T, group);
  const step = (<usize>(heads * D)) << 2;
  const keyStep = (<usize>(kvHeads * D)) << 2;
  const lanes = scratch;
  const queries = lanes + LANE_BYTES;
  const gradients = queries + <usize>D * STEP;
  const outputs = gradients + <usize>D * STEP;
  const scores = outputs + <usize>D * STEP;
  const products = scores + <usize>(S + MR) * STEP;
  const packedKeys = products + <usize>(S + MR) * STEP;
  setFactor(lanes, scale);
  for (let p = from; p < to; ) {
    const unit = p / panels;
    const batch = unit / kvHeads;
    const head = unit - batch * kvHeads;
    const first = p - unit * panels;
    const stop = min(to - unit * panels, panels);
    const own = starts ? starts + ((<usize>(batch * T)) << 2) : 0;
    const lastQuery = min(stop * LANES - 1, T * group - 1) / group;
    const base = (leastFirst((first * LANES) / group, lastQuery, own, offset, window) / MR) * MR;
    const keys = offset + lastQuery + 1 - base;
    const at = <usize>(batch * S + base) * keyStep + ((<usize>(head * D)) << 2);
    const size = (<usize>(keys * D)) << 2;
    packTiles(keys, D, k + at, keyStep, packedKeys);
    packTiles(keys, D, v + at, keyStep, packedKeys + size);
    packTilesTransposed(keys, D, k + at, keyStep, packedKeys + 2 * size);
    const rows = <usize>(batch * T) * step + ((<usize>(head * group * D)) << 2);
    for (let panel = first; panel < stop; panel++) {
      const r = panel * LANES;
      placeLanes(r, T, group, own, offset, window, rows, step, D, lanes);
      placeSums(r, T, group, heads, batch, head, lse, delta, lanes);
      const low = ((least(lanes + FIRST) - base) / MR) * MR;
      const high = min(keys, most(lanes + LAST) + 1 - base);
      moveLanes(lanes, q);
      gather(D, scale, lanes, queries);
      moveLanes(lanes, dy - q);
      gather(D, 1, lanes, gradients);
      overColumns(low, high, keys, D, packedKeys, queries, scores);
      hideEnds(base + low, base + high, scores, lanes);
      overColumns(low, high, keys, D, packedKeys + size, gradients, products);
      gradientPanel(high - low, scores, products, lanes);
      overRows(low, high, keys, base, D, packedKeys + 2 * size, scores, outputs);
      moveLanes(lanes, dq - dy);
      scatter(D, min(LANES, T * group - r), outputs, lanes + FACTOR, accumulate, lanes, lanes + SPARE);
    }
    p = unit * panels + stop;
  }
}

/** Logarithms and deltas of a panel's eight rows. */
function placeSums(r: i32, T: i32, group: i32, heads: i32, batch: i32, head: i32, lse: usize, delta: usize, lanes: usize): void {
  const last = T * group - 1;
  for (let lane: usize = 0; lane < 8; lane++) {
    const row = min(r + <i32>lane, last);
    const t = row / group;
    const at = (<usize>((batch * T + t) * heads + head * group + row - t * group)) << 2;
    store<f32>(lanes + (lane << 2), load<f32>(lse + at), LOGS);
    store<f32>(lanes + (lane << 2), load<f32>(delta + at), DELTAS);
  }
}

/**
 * dk and dv, either of which may be 0, of the panels of eight keys from `from` to below `to`: ⌈S/8⌉ for each row of the batch and key
 * head, in that order. The query heads that share a key head are added one after another.
 */
export function attentionBackwardKeys(from: i32, to: i32, T: i32, S: i32, heads: i32, kvHeads: i32, D: i32, scale: f32, window: i32, offset: i32, q: usize, k: usize, v: usize, starts: usize, lse: usize, dy: usize, delta: usize, accumulateK: i32, dk: usize, accumulateV: i32, dv: usize, scratch: usize): void {
  const panels = (S + LANES - 1) / LANES;
  if (!ASC_NO_ASSERT) {
    const batches = (to + kvHeads * panels - 1) / (kvHeads * panels);
    const last = batches * kvHeads * panelsOf(T, heads / kvHeads);
    checkAttention('attentionBackwardKeys', last, T, S, heads, kvHeads, D, offset, q, k, v, starts);
    vector('attentionBackwardKeys: dy', dy, batches * T * heads * D);
    optional('attentionBackwardKeys: dk', dk, batches * S * kvHeads * D);
    optional('attentionBackwardKeys: dv', dv, batches * S * kvHeads * D);
    vector('attentionBackwardKeys: lse', lse, batches * T * heads);
    vector('attentionBackwardKeys: delta', delta, batches * T * heads);
    scratchOf('attentionBackwardKeys: scratch', scratch, <u64>attentionBackwardScratch(T, D));
  }
  const group = heads / kvHeads;
  const step = (<usize>(heads * D)) << 2;
  const lanes = scratch;
  const keyPanel = lanes + LANE_BYTES;
  const valuePanel = keyPanel + <usize>D * STEP;
  const outputs = valuePanel + <usize>D * STEP;
  const scores = outputs + <usize>D * STEP;
  const products = scores + <usize>(T + MR) * STEP;
  const packed = products + <usize>(T + MR) * STEP;
  for (let p = from; p < to; ) {
    const unit = p / panels;
    const batch = unit / kvHeads;
    const head = unit - batch * kvHeads;
    const first = p - unit * panels;
    const stop = min(to - unit * panels, panels);
    const own = starts ? starts + ((<usize>(batch * T)) << 2) : 0;
    // Queries that see any of these keys, from a whole tile on.
    const base = min((max(first * LANES - offset, 0) / MR) * MR, T);
    const rows = T - base;
    const size = (<usize>(rows * D)) << 2;
    for (let h = 0; h < group; h++) {
      const at = <usize>(batch * T + base) * step + ((<usize>((head * group + h) * D)) << 2);
      packTiles(rows, D, q + at, step, packed);
      packTiles(rows, D, dy + at, step, packed + size);
      packTilesTransposed(rows, D, q + at, step, packed + 2 * size);
      packTilesTransposed(rows, D, dy + at, step, packed + 3 * size);
      const sums = (<usize>((batch * T + base) * heads + head * group + h)) << 2;
      for (let panel = first; panel < stop; panel++) {
        const n = panel * LANES;
        const low = (max(n - offset - base, 0) / MR) * MR;
        const high = seenUntil(n + LANES - 1, T, own, offset, window) - base;
        const count = min(LANES, S - n);
        placeKeys(batch * S, n, S, kvHeads, head, D, lanes);
        moveLanes(lanes, k);
        gather(D, scale, lanes, keyPanel);
        moveLanes(lanes, v - k);
        gather(D, 1, lanes, valuePanel);
        if (low < high) {
          overColumns(low, high, rows, D, packed, keyPanel, scores);
          overColumns(low, high, rows, D, packed + size, valuePanel, products);
          const skip = <usize>low * <usize>heads << 2;
          gradientRows(base + low, base + high, n, own, offset, window, heads, lse + sums + skip, delta + sums + skip, scores, products);
        }
        // Where k and v are one tensor, so is the place of their gradients: dv adds to what dk began.
        if (dk) {
          moveLanes(lanes, dk - v);
          sumRowsOf(low, high, rows, base, D, packed + 2 * size, products, outputs);
          setFactor(lanes, scale);
          scatter(D, count, outputs, lanes + FACTOR, h > 0 ? 1 : accumulateK, lanes, lanes + SPARE);
          moveLanes(lanes, v - dk);
        }
        if (dv) {
          moveLanes(lanes, dv - v);
          sumRowsOf(low, high, rows, base, D, packed + 3 * size, scores, outputs);
          setFactor(lanes, 1);
          scatter(D, count, outputs, lanes + FACTOR, h > 0 ? 1 : accumulateV, lanes, lanes + SPARE);
        }
      }
    }
    p = unit * panels + stop;
  }
}

/** `overRows`, or zeros where there are no rows. */
// @ts-ignore: decorator
@inline
function sumRowsOf(low: i32, high: i32, rows: i32, origin: i32, D: i32, a: usize, b: usize, c: usize): void {
  if (low < high) overRows(low, high, rows, origin, D, a, b, c);
  else memory.fill(c, 0, <usize>D * STEP);
}

/** One behind the last query that sees a key up to `key`. */
function seenUntil(key: i32, T: i32, starts: usize, offset: i32, window: i32): i32 {
  if (!starts && window === 0) return T;
  let t = T;
  while (t > 0 && firstKey(starts, t - 1, offset, window) > key) t--;
  return t;
}

/** Where the eight keys from n on lie, in every matrix of the keys' shape. The last stands for those behind it. */
function placeKeys(rows: i32, n: i32, S: i32, kvHeads: i32, head: i32, D: i32, lanes: usize): void {
  for (let lane = 0; lane < LANES; lane++) {
    const row = rows + min(n + lane, S - 1);
    store<u32>(lanes + ((<usize>lane) << 2), <u32>((<usize>((row * kvHeads + head) * D)) << 2));
  }
}

/** p into `scores` and ds into `products` of the queries from `from` to below `to` and the eight keys from n on; what is not seen is 0. */
function gradientRows(from: i32, to: i32, n: i32, starts: usize, offset: i32, window: i32, heads: i32, lse: usize, delta: usize, scores: usize, products: usize): void {
  const k0 = i32x4.add(i32x4.splat(n), i32x4(0, 1, 2, 3));
  const k1 = i32x4.add(i32x4.splat(n), i32x4(4, 5, 6, 7));
  const next = (<usize>heads) << 2;
  for (let t = from; t < to; t++, lse += next, delta += next, scores += STEP, products += STEP) {
    const log = v128.load32_splat(lse);
    const mean = v128.load32_splat(delta);
    let p0 = exp4(f32x4.sub(v128.load(scores), log));
    let p1 = exp4(f32x4.sub(v128.load(scores, 16), log));
    let d0 = f32x4.mul(p0, f32x4.sub(v128.load(products), mean));
    let d1 = f32x4.mul(p1, f32x4.sub(v128.load(products, 16), mean));
    const first = firstKey(starts, t, offset, window);
    if (first > n || offset + t < n + LANES - 1) {
      const low = i32x4.splat(first);
      const high = i32x4.splat(offset + t);
      const s0 = v128.and(i32x4.ge_s(k0, low), i32x4.le_s(k0, high));
      const s1 = v128.and(i32x4.ge_s(k1, low), i32x4.le_s(k1, high));
      p0 = v128.and(p0, s0);
      p1 = v128.and(p1, s1);
      d0 = v128.and(d0, s0);
      d1 = v128.and(d1, s1);
    }
    v128.store(scores, p0);
    v128.store(scores, p1, 16);
    v128.store(products, d0);
    v128.store(products, d1, 16);
  }
}
