/**
 * Finding, checking and instantiating a kernel build. The only file that names `@assemblyscript/loader`.
 */
import { instantiate } from '@assemblyscript/loader';
import { relaxedSimd, simd } from 'wasm-feature-detect';
import { readBytes } from '#platform';
import type { KernelBuild, Kernels } from './abi.js';

/** Where a kernel build comes from: its bytes, a URL to read, or a compiled module. */
export type WasmSource = Uint8Array | ArrayBuffer | URL | string | WebAssembly.Module;

/** One source, or a function from the build's name to one. */
export type WasmOption = WasmSource | ((build: KernelBuild) => WasmSource | Promise<WasmSource>);

export interface LoadedKernels {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
  readonly build: KernelBuild;
  /** Why this build was chosen. */
  readonly reason: string;
}

const INITIAL_PAGES = 32;
const LEVELS = ['simd', 'relaxed-simd'] as const;

function packagedUrl(build: KernelBuild): URL {
  // Literal URLs, so that bundlers find the files.
  if (build === 'relaxed-simd') return new URL('../../build/relaxed-simd.wasm', import.meta.url);
  return new URL('../../build/simd.wasm', import.meta.url);
}

async function chooseBuild(
  asked: 'auto' | 'simd' | 'relaxed-simd',
): Promise<{ build: KernelBuild; reason: string }> {
  if (!(await simd())) {
    throw new Error(
      'createRuntime: this engine has no WebAssembly SIMD, which is the least that lora-wasm needs',
    );
  }
  if (asked === 'simd') return { build: 'simd', reason: "asked for by kernels: 'simd'" };
  const relaxed = await relaxedSimd();
  if (asked === 'relaxed-simd') {
    if (!relaxed) {
      throw new Error(
        "createRuntime: kernels is 'relaxed-simd', but this engine has no relaxed SIMD; expected 'auto' or 'simd'",
      );
    }
    return { build: 'relaxed-simd', reason: "asked for by kernels: 'relaxed-simd'" };
  }
  return relaxed
    ? { build: 'relaxed-simd', reason: 'this engine has relaxed SIMD' }
    : { build: 'simd', reason: 'this engine has no relaxed SIMD' };
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  let bytes: Uint8Array<ArrayBuffer>;
  if (source instanceof URL || typeof source === 'string')
    bytes = await readBytes(new URL(source, import.meta.url));
  else if (source instanceof ArrayBuffer) bytes = new Uint8Array(source);
  else if (source instanceof Uint8Array) bytes = Uint8Array.from(source);
  else
    throw new TypeError(
      'createRuntime: wasm is of an unknown kind, expected bytes, a URL, a WebAssembly.Module or a function',
    );
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (/unsafe-eval|content security policy|disallowed by embedder/i.test(message)) {
      throw new Error(
        "createRuntime: the page's Content-Security-Policy forbids WebAssembly; add 'wasm-unsafe-eval' to script-src",
        { cause },
      );
    }
    throw new Error(`createRuntime: the kernels did not compile: ${message}`, { cause });
  }
}

/** Loads the kernels that `asked` and the engine allow. @throws Error when the engine or the source disagrees */
export async function loadKernels(
  asked: 'auto' | 'simd' | 'relaxed-simd',
  wasm: WasmOption | undefined,
): Promise<LoadedKernels> {
  let { build, reason } = await chooseBuild(asked);
  const source = typeof wasm === 'function' ? await wasm(build) : (wasm ?? packagedUrl(build));
  const memory = new WebAssembly.Memory({ initial: INITIAL_PAGES });
  const abort = (_message: number, _file: number, line: number, column: number): never => {
    throw new Error(`kernel assertion failed at line ${line}, column ${column}`);
  };
  const { instance } = await instantiate<Record<string, unknown>>(await compile(source), {
    env: { memory, abort },
  });
  const kernels = instance.exports as unknown as Kernels;
  if (typeof kernels.simdLevel !== 'function' || typeof kernels.heapBase !== 'function') {
    throw new TypeError('createRuntime: wasm is not a build of the lora-wasm kernels');
  }
  const found = LEVELS[kernels.simdLevel()];
  if (found !== build) {
    if (asked !== 'auto' || typeof wasm === 'function' || found === undefined) {
      throw new Error(`createRuntime: wasm holds the '${found}' kernels, expected '${build}'`);
    }
    build = found;
    reason = `the given wasm holds the '${found}' kernels`;
  }
  return { kernels, memory, build, reason };
}
