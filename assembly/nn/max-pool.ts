// Largest element of each window, and where it was. Planes are images of one channel, one behind the other.
// As in PyTorch the first of equal elements wins, any NaN wins over every number, and the last NaN over the others.
import { indices as checkIndices, sizes, steps, vector } from '../checks';
import { endInside, firstInside } from './window';

/** y[planes,OH,OW] and indices; a window with nothing inside the image gives -infinity and -1. */
export function maxPool2dForward(planes: i32, H: i32, W: i32, KH: i32, KW: i32, strideH: i32, strideW: i32, padH: i32, padW: i32, dilH: i32, dilW: i32, OH: i32, OW: i32, x: usize, y: usize, indices: usize): void {
  if (!ASC_NO_ASSERT) {
    sizes('maxPool2dForward: size of x', planes, H, W);
    sizes('maxPool2dForward: window and its places', KH, KW, OH, OW);
    sizes('maxPool2dForward: padding', padH, padW);
    steps('maxPool2dForward: stride and dilation', strideH, strideW, dilH, dilW);
    vector('maxPool2dForward: x', x, planes * H * W);
    vector('maxPool2dForward: y', y, planes * OH * OW);
    vector('maxPool2dForward: indices', indices, planes * OH * OW);
  }
  const plane = <usize>H * <usize>W << 2;
  for (let p = 0; p < planes; p++, x += plane) {
    for (let oh = 0; oh < OH; oh++) {
      const ih = oh * strideH - padH;
      const top = firstInside(ih, dilH, KH);
      const bottom = endInside(ih, dilH, KH, H, top);
      for (let ow = 0; ow < OW; ow++, y += 4, indices += 4) {
        const iw = ow * strideW - padW;
        const left = firstInside(iw, dilW, KW);
        const right = endInside(iw, dilW, KW, W, left);
        let best: f32 = -Infinity;
        let at = top < bottom && left < right ? (ih + top * dilH) * W + iw + left * dilW : -1;
        for (let kh = top; kh < bottom; kh++) {
          const line = (ih + kh * dilH) * W + iw;
          for (let kw = left; kw < right; kw++) {
            const place = line + kw * dilW;
            const v = load<f32>(x + ((<usize>place) << 2));
            if (v > best || v !== v) {
              best = v;
              at = place;
            }
          }
        }
        store<f32>(y, best);
        store<i32>(indices, at);
      }
    }
  }
}

/** dx[plane, index] += dy, in the order of dy; indices below 0 are left out. */
export function maxPool2dBackward(planes: i32, inPlane: i32, outPlane: i32, indices: usize, dy: usize, dx: usize): void {
  if (!ASC_NO_ASSERT) {
    sizes('maxPool2dBackward: planes, inPlane, outPlane', planes, inPlane, outPlane);
    checkIndices('maxPool2dBackward: indices', indices, planes * outPlane, -1, inPlane);
    vector('maxPool2dBackward: dy', dy, planes * outPlane);
    vector('maxPool2dBackward: dx', dx, planes * inPlane);
  }
  for (let p = 0; p < planes; p++, dx += (<usize>inPlane) << 2) {
    for (const end = dy + ((<usize>outPlane) << 2); dy < end; dy += 4, indices += 4) {
      const at = load<i32>(indices);
      if (at < 0) continue;
      const to = dx + ((<usize>at) << 2);
      store<f32>(to, load<f32>(to) + load<f32>(dy));
    }
  }
}
