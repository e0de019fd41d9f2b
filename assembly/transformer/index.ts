export * from './rms-norm';
export * from './rotary';
export * from './swiglu';
