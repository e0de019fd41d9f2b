/**
 * What the caller and the workers of a pool agree on: one control block in shared memory. The caller writes a job (a kernel
 * and the arguments of each share), then a ticket; whoever comes claims the next share by counting the ticket up, share 0 being the
 * caller's. The ticket holds the job's number, its count of shares and the next share, so a claim that succeeds is always of
 * the job whose arguments stand there: a job ends only when its claimed shares are done.
 */

/** Words of the control block, as int32. */
export const TICKET = 0;
/** Shares of the job that are done; workers notify it at the last. */
export const DONE = 1;
/** 1 + the share in which a kernel trapped; 0 while none did. */
export const FAILED = 2;
/** Index of the kernel in `kernelNames`. */
export const KERNEL = 3;
/** Arguments of a share. */
export const ARGUMENTS = 4;
/** Bytes of scratch of one participant: the last argument is moved on by them; 0 when a kernel takes none. */
export const SCRATCH = 5;
/** Workers that sleep: waking them costs more than small work is worth. */
export const ASLEEP = 6;
/** Byte at which the arguments begin, as float64. */
const ARGUMENTS_AT = 64;

export const MOST_SHARES = 64;
const MOST_ARGUMENTS = 24;

/** A control block over new or given shared memory. */
export interface Control {
  readonly words: Int32Array<SharedArrayBuffer>;
  /** Arguments of share i begin at i · ARGUMENTS. */
  readonly values: Float64Array<SharedArrayBuffer>;
}

export function controlOf(buffer?: SharedArrayBuffer): Control {
  const shared = buffer ?? new SharedArrayBuffer(ARGUMENTS_AT + 8 * MOST_SHARES * MOST_ARGUMENTS);
  return { words: new Int32Array(shared, 0, 16), values: new Float64Array(shared, ARGUMENTS_AT) };
}

/** What a worker is started with. */
export interface WorkerStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  /** Its scratch and its name in messages: 1 and up; the caller is participant 0. */
  readonly participant: number;
}

/** What a worker is sent: its part of the pool, and in a page the name of the lock that it holds while it lives. */
export interface StartMessage {
  readonly start: WorkerStart;
  readonly lock?: string;
}

/** What a worker says: that it waits for jobs, or why it stopped. */
export type WorkerMessage = { readonly ready: true } | { readonly failed: string };

/** Names of a module's functions, in the order that numbers them. */
export function kernelNames(module: WebAssembly.Module): string[] {
  return WebAssembly.Module.exports(module).flatMap(({ kind, name }) => (kind === 'function' ? [name] : []));
}

/** The ticket of job `number` with all of its shares unclaimed but the first. */
export function ticketOf(number: number, shares: number): number {
  return (number << 16) | (shares << 8) | 1;
}

/** Claims the next share of the job that stands in the control block; -1 when none is left. */
export function claim(words: Int32Array): number {
  for (;;) {
    const ticket = Atomics.load(words, TICKET);
    const next = ticket & 255;
    if (next >= ((ticket >> 8) & 255)) return -1;
    if (Atomics.compareExchange(words, TICKET, ticket, ticket + 1) === ticket) return next;
  }
}

/** The arguments of a share as `participant` calls its kernel with them. */
export function argumentsOf(control: Control, share: number, participant: number): number[] {
  const count = control.words[ARGUMENTS]!;
  const values = Array.from(control.values.subarray(share * count, (share + 1) * count));
  const scratch = control.words[SCRATCH]!;
  if (scratch > 0) values[count - 1] = values[count - 1]! + participant * scratch;
  return values;
}
