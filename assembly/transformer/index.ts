export * from './rms-norm';
export * from './rotary';
export * from './swiglu';
export { attentionForward, attentionScratch } from './attention';
