export * from './elementwise';
export * from './reduce';
export * from './softmax';
export * from './activations';
export * from './gather';
export * from './im2col';
