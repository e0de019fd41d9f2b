/** `createRuntime`, where every program begins: the only asynchronous call before files. */
import { createEngine, type RuntimeOptions } from '../engine/create-engine.js';
import { Runtime } from './runtime.js';

/**
 * Loads the kernels that this engine can run and gives a Runtime over them.
 * @throws TypeError, RangeError for wrong options; OutOfMemoryError where no memory can be had; Error where the engine lacks SIMD or `wasm` is another build
 * @example
 * const rt = await createRuntime({ seed: 42 });
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return new Runtime(await createEngine(options));
}
