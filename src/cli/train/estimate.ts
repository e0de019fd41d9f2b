/** What a run will take, measured: a short piece of its data forward and backward, with nothing learnt and nothing moved. `command.ts` calls it. */
import type { LoraModel } from '../../lora/lora-model.js';
import type { Module } from '../../nn/module.js';
import { Modes } from '../../train/evaluation.js';
import type { BatchLoss } from '../../train/loss.js';
import { joinRows, type PackedRow } from '../../train/pack-rows.js';
import { masksIn, RandomPlace } from '../../train/random-place.js';

/** Tokens of the piece. */
const TOKENS = 64;

export interface Estimate {
  /** Bytes that all of the run takes beside what lies in memory now, for each token of a batch. */
  readonly bytesPerToken: number;
  readonly secondsPerToken: number;
}

/** Twice: what is compiled as it runs is not what the run will be like. */
export function estimate<M extends Module>(
  lora: LoraModel<M>,
  row: PackedRow,
  loss: (batch: PackedRow) => BatchLoss,
): Estimate {
  const rt = lora.trainableParameters()[0]!.runtime;
  const piece = pieceOf(row);
  const random = new RandomPlace(rt, masksIn(lora));
  const modes = new Modes(lora);
  lora.train();
  try {
    const held = rt.memory().held;
    let seconds = 0;
    for (let i = 0; i < 2; i++) {
      rt.resetPeakMemory();
      const begin = performance.now();
      rt.scope(() => {
        const found = loss(piece);
        if ('sum' in found) found.sum.backward();
      });
      seconds = (performance.now() - begin) / 1000;
      forget(lora);
    }
    const tokens = piece.ids.length;
    const { peak } = rt.memory();
    return { bytesPerToken: (peak - held) / tokens, secondsPerToken: seconds / tokens };
  } finally {
    forget(lora);
    random.putBack();
    modes.putBack();
  }
}

/** Tokens of which all count, so that there is a loss whatever was masked. */
function pieceOf({ ids }: PackedRow): PackedRow {
  const times = Math.ceil(TOKENS / ids.length);
  const all = Int32Array.from({ length: times * ids.length }, (_, i) => ids[i % ids.length]!).slice(
    0,
    TOKENS,
  );
  return joinRows([{ ids: all, labels: all }]);
}

function forget<M extends Module>(lora: LoraModel<M>): void {
  for (const parameter of lora.trainableParameters()) {
    parameter.grad?.dispose();
    parameter.grad = null;
  }
}
