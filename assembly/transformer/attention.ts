// Causal attention with grouped heads: y = softmax(scale·q·kᵀ)·v, the query at t of a row of the batch seeing the keys from
// max(starts[t], offset + t - window + 1) to offset + t. A panel of eight queries is computed whole, then the next: its scores against
// every visible key stand in scratch (32 bytes a key), never more. Keys and values of a head are packed once for all its panels; every sum
// goes by the keys in order, so neither the cut into shares nor what else a panel holds changes a bit.
import { scratchOf, sizes, steps, vector } from '../checks';
import { exp4 } from '../nn/exp';
import { promoteHigh } from '../simd';
import { firstKey, gather, LANES, MR, overColumns, overColumnsInPlace, overRows, overRowsInPlace, packTiles, packTilesTransposed, scatter, STEP } from './attention-panels';

/** What a panel keeps: addresses of its rows, first and last visible key of each lane, the largest score and the sum; and a spare. */
const AT: usize = 0;
export const FIRST: usize = 32;
export const LAST: usize = 64;
export const FACTOR: usize = 96;
export const SPARE: usize = 128;
const LANE_BYTES: usize = 192;

/** Keys in one turn of the sum in f32; the turns are added in f64. */
const TURN: i32 = 32;

/** Bytes of scratch of one share over S keys: packed keys and values, a panel of scores, of queries and of outputs. */
export function attentionScratch(S: i32, D: i32): f64 {
  const keys = <f64>(S + MR);
  return 8 * keys * <f64>D + 32 * keys + 64 * <f64>D + <f64>LANE_BYTES + 64;
}

/** `attentionForward`'s panels: those of all rows of the batch, by key head. Each has eight of the T·heads/kvHeads rows of one. */
// @ts-ignore: decorator
@inline
export function panelsOf(T: i32, group: i32): i32 {
  return (T * group + LANES - 1) / LANES;
}

/** Queries of the rows of the batch that the panels before `to` belong to. */
export function queriesOf(to: i32, T: i32, heads: i32, kvHeads: i32): i32 {
  const panels = kvHeads * panelsOf(T, heads / kvHeads);
  return panels > 0 ? ((to + panels - 1) / panels) * T : 0;
}

/** Asserts what the kernels of attention share. */
export function checkAttention(where: string, to: i32, T: i32, S: i32, heads: i32, kvHeads: i32, D: i32, offset: i32, q: usize, k: usize, v: usize, starts: usize): void {
  sizes(where, T, S, offset);
  steps(where, heads, kvHeads, D);
  if (T === 0) return;
  const batch = queriesOf(to, T, heads, kvHeads) / T;
  if (offset + T > S) abort('the last query has its key', where, offset + T, S);
  vector(where, q, batch * T * heads * D);
  vector(where, k, batch * S * kvHeads * D);
  vector(where, v, batch * S * kvHeads * D);
  if (starts) vector(where, starts, batch * T);
}

/** Where the eight rows of a panel from row r on lie, in every matrix of the queries' shape, and which keys each sees. The last stands for those behind it. */
export function placeLanes(r: i32, T: i32, group: i32, starts: usize, offset: i32, window: i32, base: usize, step: usize, D: i32, lanes: usize): void {
  const last = T * group - 1;
  for (let lane: usize = 0; lane < 8; lane++) {
    const row = min(r + <i32>lane, last);
    const t = row / group;
    const at = lanes + (lane << 2);
    store<u32>(at, <u32>(base + <usize>t * step + ((<usize>((row - t * group) * D)) << 2)), AT);
    store<i32>(at, firstKey(starts, t, offset, window), FIRST);
    store<i32>(at, offset + t, LAST);
  }
}

/** Smallest (largest) of eight whole numbers. */
export function least(at: usize): i32 {
  let found = load<i32>(at);
  for (let i: usize = 4; i < 32; i += 4) found = min(found, load<i32>(at + i));
  return found;
}

export function most(at: usize): i32 {
  let found = load<i32>(at);
  for (let i: usize = 4; i < 32; i += 4) found = max(found, load<i32>(at + i));
  return found;
}

/** Smallest first key of the queries from t to u. */
export function leastFirst(t: i32, u: i32, starts: usize, offset: i32, window: i32): i32 {
  let found = firstKey(starts, t, offset, window);
  if (starts) for (let i = t + 1; i <= u; i++) found = min(found, firstKey(starts, i, offset, window));
  return found;
}

/** Writes -∞ over the scores of keys from `from` to below `to` that a lane does not see; `panel` begins at key `from`. */
export function hide(from: i32, to: i32, panel: usize, lanes: usize): void {
  const lowest = f32x4.splat(-Infinity);
  for (let n = from; n < to; n++, panel += STEP) {
    const key = i32x4.splat(n);
    for (let half: usize = 0; half < 32; half += 16) {
      const seen = v128.and(i32x4.ge_s(key, v128.load(lanes + half, FIRST)), i32x4.le_s(key, v128.load(lanes + half, LAST)));
      v128.store(panel + half, v128.bitselect(v128.load(panel + half), lowest, seen));
    }
  }
}

/** Hides what no lane may see at both ends of a panel of scores over the keys from `from` to below `to`. */
export function hideEnds(from: i32, to: i32, panel: usize, lanes: usize): void {
  const whole = min(max(most(lanes + FIRST), from), to);
  const end = max(min(least(lanes + LAST) + 1, to), whole);
  hide(from, whole, panel, lanes);
  hide(end, to, panel + <usize>(end - from) * STEP, lanes);
}

/**
 * Turns `count` steps of four lanes' scores into e^(score - top) and leaves 1/sum of each; `lanes` and `logs` are at the four, too. The
 * logarithm of a lane's sum plus its largest score goes to `logs`, unless that is 0.
 */
function softmaxLanes(count: i32, scores: usize, lanes: usize, logs: usize): void {
  const end = scores + <usize>count * STEP;
  let top = f32x4.splat(-Infinity);
  for (let at = scores; at < end; at += STEP) top = f32x4.pmax(top, v128.load(at));
  let s0 = f64x2.splat(0);
  let s1 = s0;
  while (scores < end) {
    const stop = min(end, scores + <usize>TURN * STEP);
    let sum = f32x4.splat(0);
    for (; scores + 2 * STEP <= stop; scores += 2 * STEP) {
      const first = exp4(f32x4.sub(v128.load(scores), top));
      const second = exp4(f32x4.sub(v128.load(scores, 32), top));
      v128.store(scores, first);
      v128.store(scores, second, 32);
      sum = f32x4.add(f32x4.add(sum, first), second);
    }
    for (; scores < stop; scores += STEP) {
      const e = exp4(f32x4.sub(v128.load(scores), top));
      v128.store(scores, e);
      sum = f32x4.add(sum, e);
    }
    s0 = f64x2.add(s0, f64x2.promote_low_f32x4(sum));
    s1 = f64x2.add(s1, promoteHigh(sum));
  }
  storeSum(f64x2.extract_lane(s0, 0), f32x4.extract_lane(top, 0), lanes, logs);
  storeSum(f64x2.extract_lane(s0, 1), f32x4.extract_lane(top, 1), lanes + 4, logs ? logs + 4 : 0);
  storeSum(f64x2.extract_lane(s1, 0), f32x4.extract_lane(top, 2), lanes + 8, logs ? logs + 8 : 0);
  storeSum(f64x2.extract_lane(s1, 1), f32x4.extract_lane(top, 3), lanes + 12, logs ? logs + 12 : 0);
}

// @ts-ignore: decorator
@inline
function storeSum(sum: f64, top: f32, lane: usize, log: usize): void {
  store<f32>(lane, <f32>(1 / sum), FACTOR);
  if (log) store<f32>(log, <f32>(<f64>top + Math.log(sum)));
}

/**
 * The panels from `from` to below `to` of y[B,T,heads,D]; q has its shape, k and v are [B,S,kvHeads,D]; starts is i32[B,T] or 0, window 0
 * for none. lse[B,T,heads] = log Σ e^(scale·q·k), or 0. Every matrix lies without gaps. Scratch of `attentionScratch(S, D)`.
 */
export function attentionForward(from: i32, to: i32, T: i32, S: i32, heads: i32, kvHeads: i32, D: i32, scale: f32, window: i32, offset: i32, q: usize, k: usize, v: usize, starts: usize, y: usize, lse: usize, scratch: usize): void {
  if (!ASC_NO_ASSERT) {
    checkAttention('attentionForward', to, T, S, heads, kvHeads, D, offset, q, k, v, starts);
    const rows = queriesOf(to, T, heads, kvHeads);
    vector('attentionForward: y', y, rows * heads * D);
    if (lse) vector('attentionForward: lse', lse, rows * heads);
    scratchOf('attentionForward: scratch', scratch, <u64>attentionScratch(S, D));
  }
  const group = heads / kvHeads;
  const panels = panelsOf(T, group);
  const step = (<usize>(heads * D)) << 2;
  const keyStep = (<usize>(kvHeads * D)) << 2;
  const lanes = scratch;
  const queries = lanes + LANE_BYTES;
  const outputs = queries + <usize>D * STEP;
  const logs = outputs + <usize>D * STEP;
  const scores = logs + STEP;
  const packedKeys = scores + <usize>(S + MR) * STEP;
  for (let p = from; p < to; ) {
    const unit = p / panels;
    const batch = unit / kvHeads;
    const head = unit - batch * kvHeads;
    const first = p - unit * panels;
    const stop = min(to - unit * panels, panels);
    const own = starts ? starts + ((<usize>(batch * T)) << 2) : 0;
    // Keys that any of these panels sees, from a whole tile on.
    const lastQuery = min(stop * LANES - 1, T * group - 1) / group;
    const end = offset + lastQuery + 1;
    const base = (leastFirst((first * LANES) / group, lastQuery, own, offset, window) / MR) * MR;
    const keys = end - base;
    const at = <usize>(batch * S + base) * keyStep + ((<usize>(head * D)) << 2);
    const packedValues = packedKeys + ((<usize>(keys * D)) << 2);
    const alone = stop - first === 1;
    if (!alone) {
      packTiles(keys, D, k + at, keyStep, packedKeys);
      packTilesTransposed(keys, D, v + at, keyStep, packedValues);
    }
    const rows = <usize>(batch * T) * step + ((<usize>(head * group * D)) << 2);
    for (let panel = first; panel < stop; panel++) {
      const r = panel * LANES;
      placeLanes(r, T, group, own, offset, window, rows, step, D, lanes);
      const low = ((least(lanes + FIRST) - base) / MR) * MR;
      const high = min(keys, most(lanes + LAST) + 1 - base);
      moveLanes(lanes, q);
      gather(D, scale, lanes, queries);
      const count = min(LANES, T * group - r);
      const halves = count > 4 ? 2 : 1;
      if (alone) overColumnsInPlace(low, high, D, k + at, keyStep, halves, queries, scores);
      else overColumns(low, high, keys, D, packedKeys, queries, scores);
      hideEnds(base + low, base + high, scores, lanes);
      softmaxLanes(high - low, scores, lanes, lse ? logs : 0);
      if (halves > 1) softmaxLanes(high - low, scores + 16, lanes + 16, lse ? logs + 16 : 0);
      if (alone) overRowsInPlace(low, high, base, D, v + at, keyStep, halves, scores, outputs);
      else overRows(low, high, keys, base, D, packedValues, scores, outputs);
      moveLanes(lanes, y - q);
      scatter(D, count, outputs, lanes + FACTOR, 0, lanes, lanes + SPARE);
      if (lse) for (let lane = 0; lane < count; lane++) storeLog(r + lane, T, group, heads, batch, head, logs + ((<usize>lane) << 2), lse);
    }
    p = unit * panels + stop;
  }
}

/** Moves the addresses of the lanes on. */
// @ts-ignore: decorator
@inline
export function moveLanes(lanes: usize, by: usize): void {
  const bytes = i32x4.splat(<i32>by);
  v128.store(lanes, i32x4.add(v128.load(lanes), bytes));
  v128.store(lanes, i32x4.add(v128.load(lanes, 16), bytes), 16);
}

// @ts-ignore: decorator
@inline
function storeLog(row: i32, T: i32, group: i32, heads: i32, batch: i32, head: i32, from: usize, lse: usize): void {
  const t = row / group;
  store<f32>(lse + ((<usize>((batch * T + t) * heads + head * group + row - t * group)) << 2), load<f32>(from));
}
