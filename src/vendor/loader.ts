/** What instantiates the kernels: AssemblyScript's own loader. The build puts it into this file; `runtime/wasm.ts` calls it. */
export { instantiate } from '@assemblyscript/loader';
