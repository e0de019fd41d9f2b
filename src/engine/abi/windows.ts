/** Windows over images: convolution as a product, and max pooling. */
export interface WindowKernels {
  // --- convolution as a product: one image, the rows of cols are the windows of its OH·OW outputs, in the order c, kh, kw ---
  /** cols[OH·OW, C·KH·KW] of x[C,H,W]; zeros where a window reaches over the edge. */
  im2col(
    C: number,
    H: number,
    W: number,
    KH: number,
    KW: number,
    strideH: number,
    strideW: number,
    padH: number,
    padW: number,
    dilH: number,
    dilW: number,
    OH: number,
    OW: number,
    x: number,
    cols: number,
  ): void;
  /** dx[C,H,W] += every element of cols at the place that im2col takes it from. */
  col2im(
    C: number,
    H: number,
    W: number,
    KH: number,
    KW: number,
    strideH: number,
    strideW: number,
    padH: number,
    padW: number,
    dilH: number,
    dilW: number,
    OH: number,
    OW: number,
    cols: number,
    dx: number,
  ): void;

  // --- max pooling of planes x[planes,H,W] -> y[planes,OH,OW] ---
  /** y = largest of each window, NaN if it has one; indices i32 as y: its place h·W + w in the plane, the first of equals, -1 for a window with nothing inside (y is -infinity). */
  maxPool2dForward(
    planes: number,
    H: number,
    W: number,
    KH: number,
    KW: number,
    strideH: number,
    strideW: number,
    padH: number,
    padW: number,
    dilH: number,
    dilW: number,
    OH: number,
    OW: number,
    x: number,
    y: number,
    indices: number,
  ): void;
  /** dx[plane, index] += dy; planes of inPlane = H·W and outPlane = OH·OW elements. */
  maxPool2dBackward(
    planes: number,
    inPlane: number,
    outPlane: number,
    indices: number,
    dy: number,
    dx: number,
  ): void;
}
