/**
 * Letting the event loop have a turn between two training steps. Public; a loop that trains on a page or in a worker calls it.
 */

/** Those who wait, the first first: the channel answers in the order in which it was asked. */
const waiting: (() => void)[] = [];
let channel: MessageChannel | null = null;

/** A message to oneself goes through the event loop, without the 4 ms that nested timers wait. */
function askChannel(resolve: () => void): void {
  if (channel === null) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()?.();
  }
  waiting.push(resolve);
  channel.port2.postMessage(null);
}

/**
 * Resolves after a turn of the event loop, in which clicks, messages, timers and frames that are due have their chance.
 * Everything in a training step is synchronous, so a loop without it leaves a page frozen and a worker deaf until its last
 * step; awaiting anything that is already there does not help. Cheap enough for every step (some microseconds).
 *
 * It takes `setImmediate` in Node, Deno and Bun, and a `MessageChannel` elsewhere. Not `scheduler.yield()`, which goes on before
 * events of lower priority, messages among them.
 * @example
 * for (let i = 0; i < 200 && !stopped; i++) {
 *   rt.scope(step);
 *   await yieldToEvents();
 * }
 */
export function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else if (typeof MessageChannel === 'function') askChannel(resolve);
    else setTimeout(resolve, 0);
  });
}
