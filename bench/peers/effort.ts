/** How long a comparison measures. */
import type { Effort } from '../measure.js';

export const FULL: Effort = { rounds: 9, roundMs: 60 };
export const QUICK: Effort = { rounds: 2, roundMs: 2 };
