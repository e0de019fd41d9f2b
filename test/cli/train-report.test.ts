/** What `lora-wasm train` shows of its steps: a bar on a terminal, lines elsewhere. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { duration, size, TrainReport } from '../../src/cli/train/report.js';

const CLEAR = '\r\u001b[K';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A stream that keeps what is written. */
function stream(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, written, write: (text: string) => written.push(text) };
}

test('a terminal has one bar, with loss, tokens a second and the time left, drawn anew in its line', () => {
  const terminal = stream(true);
  const report = new TrainReport(terminal, 200);
  report.step({ step: 1, loss: 2.34567, tokens: 300, seconds: 2 });
  expect(terminal.written).toEqual([
    `${CLEAR}[${'.'.repeat(30)}] 1/200, loss 2.3457, 150 tokens/s, 6 min 38 s left`,
  ]);
  vi.advanceTimersByTime(1000);
  report.step({ step: 100, loss: 1.5, tokens: 100, seconds: 1 });
  // Speed and time by all steps that this process made: two, in three seconds.
  expect(terminal.written.at(-1)).toBe(
    `${CLEAR}[${'#'.repeat(15)}${'.'.repeat(15)}] 100/200, loss 1.5000, 133 tokens/s, 2 min 30 s left`,
  );
  expect(terminal.written.join('')).not.toContain('\n');
});

test('a bar is not drawn more often than it is looked at, but at the end', () => {
  const terminal = stream(true);
  const report = new TrainReport(terminal, 40);
  for (let step = 1; step <= 40; step++) {
    report.step({ step, loss: 1, tokens: 10, seconds: 0.01 });
    vi.advanceTimersByTime(10);
  }
  // At 0, 50, 100 ... 350 ms, and the last step.
  expect(terminal.written).toHaveLength(9);
  expect(terminal.written.at(-1)).toContain(`[${'#'.repeat(30)}] 40/40`);
  expect(terminal.written.at(-1)).toContain('0 s left');
  expect(report.tokens).toBe(400);
});

test('a line goes above the bar, which is gone at the end', () => {
  const terminal = stream(true);
  const report = new TrainReport(terminal, 2);
  report.line('before');
  report.step({ step: 1, loss: 1, tokens: 1, seconds: 1 });
  const bar = terminal.written.at(-1)!.slice(CLEAR.length);
  report.line('validation');
  expect(terminal.written.at(-1)).toBe(`${CLEAR}validation\n${bar}`);
  report.end();
  report.line('done');
  expect(terminal.written.slice(-2)).toEqual([CLEAR, 'done\n']);
  expect(terminal.written[0]).toBe('before\n');
});

test('elsewhere there are some fifty lines of plain text, and the last step', () => {
  const file = stream(false);
  const report = new TrainReport(file, 205);
  for (let step = 1; step <= 205; step++) report.step({ step, loss: 1, tokens: 10, seconds: 0.1 });
  report.end();
  expect(file.written[0]).toBe('step 5/205, loss 1.0000, 100 tokens/s, 20 s left\n');
  expect(file.written).toHaveLength(41);
  expect(file.written.at(-1)).toBe('step 205/205, loss 1.0000, 100 tokens/s, 0 s left\n');
  expect(file.written.join('')).not.toContain('\u001b');
});

test('times and sizes are in the units that a person reads', () => {
  expect([0.4, 59.6, 60, 200, 3599, 3600, 7500].map(duration)).toEqual([
    ...['0 s', '1 min', '1 min', '3 min 20 s', '59 min 59 s', '1 h', '2 h 5 min'],
  ]);
  expect([1, 93e6, 1.24e9].map(size)).toEqual(['1 kB', '93 MB', '1.2 GB']);
});
