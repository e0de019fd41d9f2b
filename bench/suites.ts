/** Every suite: one entry here and one script in package.json put it into Node, into a page and into the tests. */
import { baselines } from './baselines/suite.js';
import { kernels } from './kernels/suite.js';
import { llm } from './llm/suite.js';
import { scaling } from './scaling/suite.js';
import type { Suite } from './suite.js';
import { threads } from './threads/suite.js';

/** By the name that stands in the files of `results/`. */
export const SUITES = { bench: baselines, kernels, scaling, threads, llm } as const satisfies Record<
  string,
  Suite
>;

export type SuiteName = keyof typeof SUITES;

export const SUITE_NAMES = Object.keys(SUITES) as SuiteName[];
