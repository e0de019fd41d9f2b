/**
 * What a failed assertion of a kernel becomes. Only the `debug` build asserts: it gives addresses of two strings, what is asked
 * and of which kernel's operand, then the number that it got and the limit. Called by all who make an instance of the kernels.
 */

/** The `abort` that a build imports, for kernels that compute in `memory`. */
export function abortIn(memory: WebAssembly.Memory) {
  return (asked: number, where: number, got: number, limit: number): never => {
    throw new Error(`${text(memory, where)}: ${text(memory, asked)}, got ${got}, limit ${limit}`);
  };
}

/** A string of AssemblyScript: UTF-16, its length in bytes before it. */
function text({ buffer }: WebAssembly.Memory, address: number): string {
  const at = address >>> 0;
  if (at === 0) return 'kernel';
  return String.fromCharCode(
    ...new Uint16Array(buffer, at, new DataView(buffer).getUint32(at - 4, true) >> 1),
  );
}
