// An image as the rows of a matrix product, and back. Row oh·OW + ow of cols[OH·OW, C·KH·KW] holds what the kernel window at
// (oh, ow) sees, in the order c, kh, kw; zeros where it reaches over the edge. Which part of a window lies inside the image is
// computed once a position; with dilation 1 that part is one run of memory for each c and kh, whatever the stride.
// A window of one element, moved by one, makes cols the transpose of x.
import { sizes, steps, vector } from '../checks';
import { transposeInto } from './transpose';
import { endInside, firstInside } from './window';

// @ts-ignore: decorator
@inline
function zero(to: usize, end: usize): void {
  for (; to < end; to += 4) store<f32>(to, 0);
}

/** to = from, both contiguous. */
// @ts-ignore: decorator
@inline
function copyRun(to: usize, end: usize, from: usize): void {
  for (; to + 16 <= end; to += 16, from += 16) v128.store(to, v128.load(from));
  if (to + 8 <= end) {
    store<u64>(to, load<u64>(from));
    to += 8;
    from += 8;
  }
  if (to < end) store<f32>(to, load<f32>(from));
}

/** to += from, both contiguous. */
// @ts-ignore: decorator
@inline
function addRun(to: usize, from: usize, end: usize): void {
  for (; from + 16 <= end; to += 16, from += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
  for (; from < end; to += 4, from += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
}

/** cols[OH·OW, C·KH·KW] of one image x[C,H,W] */
export function im2col(C: i32, H: i32, W: i32, KH: i32, KW: i32, strideH: i32, strideW: i32, padH: i32, padW: i32, dilH: i32, dilW: i32, OH: i32, OW: i32, x: usize, cols: usize): void {
  if (!ASC_NO_ASSERT) {
    sizes('im2col: size of x', C, H, W);
    sizes('im2col: window and its places', KH, KW, OH, OW);
    sizes('im2col: padding', padH, padW);
    steps('im2col: stride and dilation', strideH, strideW, dilH, dilW);
    vector('im2col: x', x, C * H * W);
    vector('im2col: cols', cols, OH * OW * C * KH * KW);
  }
  if (KH === 1 && KW === 1 && strideH === 1 && strideW === 1 && padH === 0 && padW === 0) {
    transposeInto(C, H * W, x, 0, cols);
    return;
  }
  const plane = <usize>H * <usize>W << 2;
  const line = <usize>dilH * <usize>W << 2;
  const step = (<usize>dilW) << 2;
  const run = (<usize>KW) << 2;
  for (let oh = 0; oh < OH; oh++) {
    const ih = oh * strideH - padH;
    const top = firstInside(ih, dilH, KH);
    const bottom = endInside(ih, dilH, KH, H, top);
    const above = (<usize>top) * run;
    const below = (<usize>(KH - bottom)) * run;
    for (let ow = 0; ow < OW; ow++) {
      const iw = ow * strideW - padW;
      const left = firstInside(iw, dilW, KW);
      const right = endInside(iw, dilW, KW, W, left);
      const before = (<usize>left) << 2;
      const inside = (<usize>(right - left)) << 2;
      let source = x + (<usize>((ih + top * dilH) * W + iw + left * dilW) << 2);
      for (let c = 0; c < C; c++, source += plane) {
        zero(cols, cols + above);
        cols += above;
        let from = source;
        for (let kh = top; kh < bottom; kh++, from += line, cols += run) {
          const start = cols + before;
          const end = start + inside;
          zero(cols, start);
          if (dilW === 1) copyRun(start, end, from);
          else for (let to = start, p = from; to < end; to += 4, p += step) store<f32>(to, load<f32>(p));
          zero(end, cols + run);
        }
        zero(cols, cols + below);
        cols += below;
      }
    }
  }
}

/** dx[C,H,W] += every element of cols at the place that im2col took it from; in the order of the rows. */
export function col2im(C: i32, H: i32, W: i32, KH: i32, KW: i32, strideH: i32, strideW: i32, padH: i32, padW: i32, dilH: i32, dilW: i32, OH: i32, OW: i32, cols: usize, dx: usize): void {
  if (!ASC_NO_ASSERT) {
    sizes('col2im: size of x', C, H, W);
    sizes('col2im: window and its places', KH, KW, OH, OW);
    sizes('col2im: padding', padH, padW);
    steps('col2im: stride and dilation', strideH, strideW, dilH, dilW);
    vector('col2im: cols', cols, OH * OW * C * KH * KW);
    vector('col2im: dx', dx, C * H * W);
  }
  if (KH === 1 && KW === 1 && strideH === 1 && strideW === 1 && padH === 0 && padW === 0) {
    transposeInto(H * W, C, cols, 1, dx);
    return;
  }
  const plane = <usize>H * <usize>W << 2;
  const line = <usize>dilH * <usize>W << 2;
  const step = (<usize>dilW) << 2;
  const run = (<usize>KW) << 2;
  for (let oh = 0; oh < OH; oh++) {
    const ih = oh * strideH - padH;
    const top = firstInside(ih, dilH, KH);
    const bottom = endInside(ih, dilH, KH, H, top);
    const above = (<usize>top) * run;
    const below = (<usize>(KH - bottom)) * run;
    for (let ow = 0; ow < OW; ow++) {
      const iw = ow * strideW - padW;
      const left = firstInside(iw, dilW, KW);
      const right = endInside(iw, dilW, KW, W, left);
      const before = (<usize>left) << 2;
      const inside = (<usize>(right - left)) << 2;
      let target = dx + (<usize>((ih + top * dilH) * W + iw + left * dilW) << 2);
      for (let c = 0; c < C; c++, target += plane) {
        cols += above;
        let to = target;
        for (let kh = top; kh < bottom; kh++, to += line, cols += run) {
          const start = cols + before;
          const end = start + inside;
          if (dilW === 1) addRun(to, start, end);
          else for (let from = start, p = to; from < end; from += 4, p += step) store<f32>(p, load<f32>(p) + load<f32>(from));
        }
        cols += below;
      }
    }
  }
}
