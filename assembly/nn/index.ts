export * from './elementwise';
export * from './reduce';
export * from './softmax';
export { sigmoidBackward, sigmoidForward, tanhBackward, tanhForward } from './activations';
export * from './gather';
export * from './im2col';
export * from './gelu';
export * from './layer-norm';
export * from './max-pool';
