/** What instantiates the kernels: AssemblyScript's own loader. The build puts it into this file; `engine/wasm.ts` calls it. */
export { instantiate } from '@assemblyscript/loader';
