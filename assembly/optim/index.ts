// Optimiser steps over n contiguous elements, PyTorch's formulas and order of operations, one pass over memory.
import { optional, vector } from '../checks';

/** g' = g + wd·p; buf = first ? g' : momentum·buf + (1 - dampening)·g'; p -= lr·(nesterov ? g' + momentum·buf : buf). buf is 0 without momentum. */
export function sgdStep(n: i32, p: usize, g: usize, buf: usize, lr: f32, momentum: f32, dampening: f64, nesterov: i32, weightDecay: f32, first: i32): void {
  if (!ASC_NO_ASSERT) {
    vector('sgdStep: p', p, n);
    vector('sgdStep: g', g, n);
    optional('sgdStep: buf', buf, n);
  }
  const end = p + ((<usize>n) << 2);
  const keep = <f32>(1 - dampening);
  const rates = f32x4.splat(lr);
  const decays = f32x4.splat(weightDecay);
  const momenta = f32x4.splat(momentum);
  const keeps = f32x4.splat(keep);
  for (; p + 16 <= end; p += 16, g += 16) {
    const w = v128.load(p);
    let d = v128.load(g);
    // Without decay p takes no part: an infinite one would make the gradient NaN.
    if (weightDecay !== 0) d = f32x4.add(d, f32x4.mul(decays, w));
    if (buf !== 0) {
      const b = first ? d : f32x4.add(f32x4.mul(momenta, v128.load(buf)), f32x4.mul(keeps, d));
      v128.store(buf, b);
      d = nesterov ? f32x4.add(d, f32x4.mul(momenta, b)) : b;
      buf += 16;
    }
    v128.store(p, f32x4.sub(w, f32x4.mul(rates, d)));
  }
  for (; p < end; p += 4, g += 4) {
    const w = load<f32>(p);
    let d = load<f32>(g);
    if (weightDecay !== 0) d += weightDecay * w;
    if (buf !== 0) {
      const b = first ? d : momentum * load<f32>(buf) + keep * d;
      store<f32>(buf, b);
      d = nesterov ? d + momentum * b : b;
      buf += 4;
    }
    store<f32>(p, w - lr * d);
  }
}

/**
 * m += (1-β1)(g - m); v = β2·v + (1-β2)·g²; p -= stepSize·m / (√v/sqrtBias2 + eps).
 * decoupled: p *= 1 - lr·wd first (AdamW), else g += wd·p (Adam). Constants are formed in f64.
 */
export function adamStep(n: i32, p: usize, g: usize, m: usize, v: usize, lr: f64, beta1: f64, beta2: f64, eps: f64, weightDecay: f64, decoupled: i32, stepSize: f64, sqrtBias2: f64): void {
  if (!ASC_NO_ASSERT) {
    vector('adamStep: p', p, n);
    vector('adamStep: g', g, n);
    vector('adamStep: m', m, n);
    vector('adamStep: v', v, n);
  }
  const end = p + ((<usize>n) << 2);
  const shrink: f32 = decoupled ? <f32>(1 - lr * weightDecay) : 1;
  const decay: f32 = decoupled ? 0 : <f32>weightDecay;
  const newM = <f32>(1 - beta1);
  const oldV = <f32>beta2;
  const newV = <f32>(1 - beta2);
  const root = <f32>(1 / sqrtBias2);
  const small = <f32>eps;
  const step = <f32>stepSize;
  const decays = f32x4.splat(decay);
  const newMs = f32x4.splat(newM);
  const oldVs = f32x4.splat(oldV);
  const newVs = f32x4.splat(newV);
  const roots = f32x4.splat(root);
  const smalls = f32x4.splat(small);
  const shrinks = f32x4.splat(shrink);
  const steps = f32x4.splat(step);
  for (; p + 16 <= end; p += 16, g += 16, m += 16, v += 16) {
    const before = v128.load(p);
    let d = v128.load(g);
    if (decay !== 0) d = f32x4.add(d, f32x4.mul(decays, before));
    const m0 = v128.load(m);
    const m1 = f32x4.add(m0, f32x4.mul(newMs, f32x4.sub(d, m0)));
    const v1 = f32x4.add(f32x4.mul(oldVs, v128.load(v)), f32x4.mul(f32x4.mul(newVs, d), d));
    v128.store(m, m1);
    v128.store(v, v1);
    const below = f32x4.add(f32x4.mul(f32x4.sqrt(v1), roots), smalls);
    v128.store(p, f32x4.sub(f32x4.mul(shrinks, before), f32x4.div(f32x4.mul(steps, m1), below)));
  }
  for (; p < end; p += 4, g += 4, m += 4, v += 4) {
    const before = load<f32>(p);
    let d = load<f32>(g);
    if (decay !== 0) d += decay * before;
    const m0 = load<f32>(m);
    const m1 = m0 + newM * (d - m0);
    const v1 = oldV * load<f32>(v) + newV * d * d;
    store<f32>(m, m1);
    store<f32>(v, v1);
    store<f32>(p, shrink * before - step * m1 / (sqrt<f32>(v1) * root + small));
  }
}
