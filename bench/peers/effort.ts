/** How long a comparison measures. */
import type { Effort } from '../measure.js';

export interface PeerEffort extends Effort {
  /** Milliseconds without work before a contestant's turn: the threads of the one before look for work that long. */
  readonly settleMs: number;
}

export const FULL: PeerEffort = { rounds: 15, roundMs: 80, settleMs: 100 };
export const QUICK: PeerEffort = { rounds: 2, roundMs: 2, settleMs: 0 };
