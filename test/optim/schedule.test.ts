/** Schedules: every factor by hand, warm-ups that move from the first step, and rates of groups that keep their ratios. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AdamW, Linear, type ScheduleKind, schedule } from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

const KINDS: readonly ScheduleKind[] = ['constant', 'linear', 'cosine'];
const factors = (kind: ScheduleKind, steps: number, warmup?: number, count = steps): number[] =>
  Array.from({ length: count }, (_, step) => schedule(kind, steps, warmup)(step));

test('without a warm-up a schedule begins at 1 and its last step moves still', () => {
  expect(factors('constant', 3)).toEqual([1, 1, 1]);
  expect(factors('linear', 4, 0, 6)).toEqual([1, 0.75, 0.5, 0.25, 0, 0]);
  const cosine = factors('cosine', 4, 0, 6);
  for (const [step, part] of [0, 0.25, 0.5, 0.75, 1, 1].entries())
    expect(cosine[step]).toBeCloseTo(Math.cos((Math.PI * part) / 2) ** 2, 12);
});

test('a warm-up rises from 1/warmup to 1, and the fall begins behind it', () => {
  expect(factors('linear', 8, 4)).toEqual([0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25]);
  expect(factors('constant', 5, 3)).toEqual([1 / 3, 2 / 3, 1, 1, 1]);
  expect(factors('cosine', 4, 2)[1]).toBe(1);
  expect(factors('cosine', 3, 3, 4)).toEqual([1 / 3, 2 / 3, 1, 0]);
});

test('no step of a schedule has a factor of 0 or above 1, and after the warm-up none rises', () => {
  const any = fc.tuple(fc.constantFrom(...KINDS), fc.integer({ min: 1, max: 300 }), fc.nat(300));
  fc.assert(
    fc.property(any, ([kind, steps, given]) => {
      const warmup = Math.min(given, steps);
      const all = factors(kind, steps, warmup);
      expect(all.every((factor) => factor > 0 && factor <= 1)).toBe(true);
      if (warmup > 0) expect(all[0]).toBe(1 / warmup);
      for (let step = warmup + 1; step < steps; step++) expect(all[step]).toBeLessThanOrEqual(all[step - 1]!);
    }),
  );
});

test('a wrong kind, length, warm-up or step is refused', () => {
  const kind = 'triangle' as ScheduleKind;
  expect(() => schedule(kind, 3)).toThrow(
    "schedule: kind is 'triangle', expected 'constant', 'linear' or 'cosine'",
  );
  expect(() => schedule('toString' as ScheduleKind, 3)).toThrow('schedule: kind is ');
  expect(() => schedule('linear', 0)).toThrow('schedule: steps is 0, expected an integer from 1');
  expect(() => schedule('linear', 3, 4)).toThrow('schedule: warmup is 4, expected an integer from 0 to 3');
  expect(() => schedule('linear', 3)(-1)).toThrow('schedule: step is -1, expected an integer from 0');
});

describeRuntimes('schedules over parameter groups', (rt) => {
  test('groups keep their ratio through every factor, 0 among them', () => {
    const [a, b] = new Linear(rt(), 2, 2).parameters();
    const optimizer = new AdamW([
      { parameters: [a!], lr: 1e-4 },
      { parameters: [b!], lr: 16e-4 },
    ]);
    const factor = schedule('cosine', 6, 2);
    for (let step = 0; step < 8; step++) {
      optimizer.scaleLr(factor(step));
      const [slow, fast] = optimizer.lrs;
      expect(slow).toBe(1e-4 * factor(step));
      expect(fast).toBe(16e-4 * factor(step));
    }
    expect(optimizer.lrs).toEqual([0, 0]);
    optimizer.scaleLr(1);
    expect(optimizer.lrs).toEqual([1e-4, 16e-4]);
  });
});
