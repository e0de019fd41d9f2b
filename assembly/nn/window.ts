// Which part of a sliding window lies inside the image, along one direction: for im2col and pooling.

/** First k of a window at `start` that lies at 0 or above, at most K. */
// @ts-ignore: decorator
@inline
export function firstInside(start: i32, dilation: i32, K: i32): i32 {
  return start >= 0 ? 0 : min<i32>((dilation - 1 - start) / dilation, K);
}

/** First k from `from` on of a window at `start` that lies at `size` or above, at most K. */
// @ts-ignore: decorator
@inline
export function endInside(start: i32, dilation: i32, K: i32, size: i32, from: i32): i32 {
  return start >= size ? from : max<i32>(from, min<i32>((size - start + dilation - 1) / dilation, K));
}
