/** Schedules of the learning rate: a factor for every step, for `optimizer.scaleLr` in any loop. */
import { checkInteger, describe } from '../values/checks.js';

/** The form of a schedule after its warm-up. */
export type ScheduleKind = 'constant' | 'linear' | 'cosine';

/** The factor of a step's learning rate; steps are counted from 0. */
export type Schedule = (step: number) => number;

/** What is left of the rate at a part of the way, from 0 up to 1. */
const FORMS: Readonly<Record<ScheduleKind, (part: number) => number>> = {
  constant: () => 1,
  linear: (part) => 1 - part,
  cosine: (part) => 0.5 * (1 + Math.cos(Math.PI * part)),
};

/**
 * The factor of every step's learning rate: a straight warm-up, (step + 1)/warmup, so that the first step moves already, then
 * 1 at step `warmup`, and from there on 1 ('constant'), or along a line or half a cosine wave to 0 at step `steps`: the last
 * step, `steps` - 1, moves still. From `steps` on the factor of the latter two is 0.
 * @param kind - the form after the warm-up
 * @param steps - optimiser steps in all, from 1 up
 * @param warmup - how many of them the rate rises for, 0 to `steps`; default 0
 * @throws TypeError, RangeError
 * @example
 * const factor = schedule('cosine', 1000, 30);
 * for (let step = 0; step < 1000; step++) { optimizer.scaleLr(factor(step)); ... }
 */
export function schedule(kind: ScheduleKind, steps: number, warmup = 0): Schedule {
  if (typeof kind !== 'string' || !Object.hasOwn(FORMS, kind))
    throw new TypeError(`schedule: kind is ${describe(kind)}, expected 'constant', 'linear' or 'cosine'`);
  checkInteger('schedule: steps', steps, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('schedule: warmup', warmup, 0, steps);
  const form = FORMS[kind];
  return (step) => {
    checkInteger('schedule: step', step, 0, Number.MAX_SAFE_INTEGER);
    if (step < warmup) return (step + 1) / warmup;
    return form(steps === warmup ? 1 : Math.min(1, (step - warmup) / (steps - warmup)));
  };
}
