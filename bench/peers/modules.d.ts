/** The part of the peers' interfaces that the comparison uses: the project type-checks without them installed. */

/** onnx.ts says what it takes from it. */
declare module 'onnxruntime-web';
declare module 'onnxruntime-web/wasm';

declare module '@tensorflow/tfjs' {
  export interface Tensor {
    add(other: Tensor): Tensor;
    mul(other: Tensor | number): Tensor;
    dataSync(): Float32Array;
    dispose(): void;
  }
  export interface Variable extends Tensor {
    readonly name: string;
  }
  export interface Optimizer {
    applyGradients(gradients: Record<string, Tensor>): void;
    dispose(): void;
  }
  interface Kernel {
    kernelName: string;
    backendName: string;
    kernelFunc: unknown;
  }
  export interface Tfjs {
    readonly version: Record<'tfjs', string>;
    setBackend(name: string): Promise<boolean>;
    getBackend(): string;
    ready(): Promise<void>;
    env(): {
      set(flag: string, value: boolean): void;
      getAsync(flag: string): Promise<boolean>;
    };
    tensor2d(data: Float32Array, shape: [number, number]): Tensor;
    tensor1d(data: Float32Array): Tensor;
    variable(start: Tensor, trainable?: boolean, name?: string): Variable;
    matMul(a: Tensor, b: Tensor): Tensor;
    fused: { matMul(operands: { a: Tensor; b: Tensor; bias: Tensor }): Tensor };
    transpose(a: Tensor): Tensor;
    tidy<T>(body: () => T): T;
    customGrad(
      body: (x: Tensor) => { value: Tensor; gradFunc: (dy: Tensor) => Tensor },
    ): (x: Tensor) => Tensor;
    customGrad(
      body: (
        a: Tensor,
        b: Tensor,
        save: (inputs: [Tensor, Tensor]) => void,
      ) => { value: Tensor; gradFunc: (dy: Tensor, saved: [Tensor, Tensor]) => [Tensor, Tensor] },
    ): (a: Tensor, b: Tensor) => Tensor;
    variableGrads(
      loss: () => Tensor,
      variables: Variable[],
    ): { value: Tensor; grads: Record<string, Tensor> };
    losses: { meanSquaredError(labels: Tensor, predictions: Tensor): Tensor };
    train: { adam(learningRate: number): Optimizer };
    getKernelsForBackend(backend: string): Kernel[];
    registerKernel(kernel: Kernel): void;
  }
  const tf: Tfjs;
  export default tf;
}

declare module '@tensorflow/tfjs-backend-wasm' {
  export interface TfjsWasm {
    readonly version_wasm: string;
    setWasmPaths(folder: string): void;
    setThreadsCount(count: number): void;
    getThreadsCount(): number;
  }
  const wasm: TfjsWasm;
  export default wasm;
}

declare module '@jax-js/jax' {
  export interface JaxArray {
    readonly ref: JaxArray;
    add(other: JaxArray | number): JaxArray;
    sub(other: JaxArray | number): JaxArray;
    mul(other: JaxArray | number): JaxArray;
    div(other: JaxArray | number): JaxArray;
    reshape(shape: readonly number[]): JaxArray;
    transpose(): JaxArray;
    data(): Promise<Float32Array>;
    dispose(): void;
  }
  type Fn<I extends JaxArray[], O> = (...inputs: I) => O;
  export const numpy: {
    array(data: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    mean(a: JaxArray): JaxArray;
    sqrt(a: JaxArray): JaxArray;
    square(a: JaxArray): JaxArray;
  };
  export function init(device: 'wasm'): Promise<string[]>;
  export function defaultDevice(device: 'wasm'): string;
  export function jit<I extends JaxArray[], O>(f: Fn<I, O>): Fn<I, O>;
  export function grad<I extends JaxArray[]>(
    f: Fn<I, JaxArray>,
    options: { argnums: readonly number[] },
  ): Fn<I, JaxArray[]>;
  export function blockUntilReady<T>(x: T): Promise<T>;
}

/** Files behind no entry of their package; nanogpt.ts says what it takes from them. */
declare module '*/nanogpt/dist/layers/LoRA.js';
declare module '*/nanogpt/dist/layers/WeightStore.js';
declare module '*/nanogpt/dist/training/AdamW.js';
