/**
 * Classes of the host that the published types name: the host's own where a program compiles with its types, else what is used
 * of them. So the declarations compile with the DOM's types, with Node's and with neither.
 */
type OfHost<Name extends string, Otherwise> = typeof globalThis extends {
  readonly [name in Name]: { readonly prototype: infer Instance };
}
  ? Instance
  : Otherwise;

/** `URL`. */
export type HostUrl = OfHost<'URL', { readonly href: string }>;

/** `Blob`, of which a `File` is one. */
export type HostBlob = OfHost<'Blob', BlobLike>;

interface BlobLike {
  readonly size: number;
  slice(begin?: number, end?: number): BlobLike;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** `AbortSignal`. */
export type HostAbortSignal = OfHost<'AbortSignal', AbortSignalLike>;

interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
}

/** `WebAssembly.Module`, which has no members to tell it by. */
export type HostWasmModule = typeof globalThis extends {
  readonly WebAssembly: { readonly Module: { readonly prototype: infer Instance } };
}
  ? Instance
  : object;
