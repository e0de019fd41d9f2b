/** A loop of steps that yields hears messages and timers; one that only awaits does not. In Node and in a page. */
import { yieldToEvents } from 'lora-wasm';
import { expect, test, vi } from 'vitest';

const MOST = 5_000;

/** Steps until a message that was posted before the first is heard; MOST where it never is. */
async function stepsUntilMessage(between: () => Promise<void>): Promise<number> {
  const { port1, port2 } = new MessageChannel();
  let heard = false;
  port1.onmessage = () => {
    heard = true;
  };
  port2.postMessage('stop');
  let steps = 0;
  while (!heard && steps < MOST) {
    steps++;
    await between();
  }
  port1.close();
  return steps;
}

/** Steps until a timer that was due before the first has run. */
async function stepsUntilTimer(between: () => Promise<void>): Promise<number> {
  let ran = false;
  setTimeout(() => {
    ran = true;
  }, 0);
  const due = performance.now() + 5;
  while (performance.now() < due);
  let steps = 0;
  while (!ran && steps < MOST) {
    steps++;
    await between();
  }
  return steps;
}

test('a loop that yields hears a message that waits', async () => {
  expect(await stepsUntilMessage(yieldToEvents)).toBeLessThan(MOST);
});

test('a loop that only awaits does not', async () => {
  expect(await stepsUntilMessage(async () => {})).toBe(MOST);
});

test('a timer that is due runs in between', async () => {
  expect(await stepsUntilTimer(yieldToEvents)).toBeLessThan(MOST);
  expect(await stepsUntilTimer(async () => {})).toBe(MOST);
});

test('those who wait go on in the order in which they asked', async () => {
  const order: number[] = [];
  await Promise.all(Array.from({ length: 1000 }, (_, i) => yieldToEvents().then(() => order.push(i))));
  expect(order).toEqual(Array.from({ length: 1000 }, (_, i) => i));
});

test.each(['MessageChannel', 'setTimeout'])('without setImmediate it takes %s', async (name) => {
  vi.stubGlobal('setImmediate', undefined);
  if (name === 'setTimeout') vi.stubGlobal('MessageChannel', undefined);
  const asked = vi.spyOn(globalThis, 'setTimeout');
  try {
    await yieldToEvents();
    await yieldToEvents();
    expect(asked).toHaveBeenCalledTimes(name === 'setTimeout' ? 2 : 0);
  } finally {
    asked.mockRestore();
    vi.unstubAllGlobals();
  }
});
