export * from './rms-norm';
export * from './rotary';
export * from './swiglu';
export { attentionForward, attentionScratch } from './attention';
export { attentionBackwardKeys, attentionBackwardQueries, attentionBackwardScratch } from './attention-backward';
