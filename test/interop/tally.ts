/** What became of the cases of a round trip: what agrees, what does not, and refusals, which both sides must share. */
import type { PeftFields } from '../support/random-adapters.js';

/** Largest difference over the largest output: float32 sums in two orders. */
const BOUND = 1e-4;

/** How far the outputs are apart, or why there are none. */
export interface Outcome {
  readonly difference?: number;
  readonly refused?: string;
}

/** What is refused here and not by PEFT; docs/peft.md says why. */
const STRICTER_HERE = [
  /matches no (?:layer|module)/,
  /expected at most \d+$/,
  /expected loraAlpha above 0$/,
  /initLoraWeights is '/,
  /init_lora_weights is "/,
];
/**
 * What PEFT refuses and is done here: targets that match a list of layers too, OLoRA on weights stored [in, out], and patterns
 * whose keys it sorts when it saves them, so that others come first when it loads.
 */
function refusedThereAlone(refused: string, fields: PeftFields): boolean {
  if (/is not supported. Currently, only the following modules/.test(refused)) return true;
  if (/size mismatch/.test(refused) && !isSorted(Object.keys(fields.rank_pattern ?? {}))) return true;
  const olora = /^olora$/i.test(String(fields.init_lora_weights));
  return olora && /shapes cannot be multiplied|The size of tensor/.test(refused);
}

function isSorted(keys: readonly string[]): boolean {
  return keys.every((key, i) => i === 0 || keys[i - 1]! <= key);
}

export class Tally {
  readonly #cases: readonly PeftFields[];
  readonly #counts = new Map<string, number>();
  readonly #failed = new Set<number>();

  constructor(cases: readonly PeftFields[]) {
    this.#cases = cases;
  }

  /** Takes note of one direction of a case. */
  add(index: number, way: string, { difference, refused }: Outcome): void {
    if (difference !== undefined && difference <= BOUND) this.#count(`${way}: agrees`);
    else if (refused !== undefined && STRICTER_HERE.some((reason) => reason.test(refused)))
      this.#count(`${way}: refused, as documented`);
    else this.#fail(index, `${way}: ${refused ?? `apart by ${difference?.toExponential(1)}`}`);
  }

  /** Holds the refusal of making the adapter against PEFT's; null for none. */
  compareRefusals(index: number, here: string | null, there: string | null): void {
    if (here === null && there === null) this.#count('made on both sides');
    else if (here !== null && there !== null) this.#count('refused on both sides');
    else if (here !== null && STRICTER_HERE.some((reason) => reason.test(here)))
      this.#count('refused here alone, as documented');
    else if (there !== null && refusedThereAlone(there, this.#cases[index]!))
      this.#count('refused by PEFT alone, as documented');
    else this.#fail(index, `refused ${here === null ? `by PEFT alone: ${there}` : `here alone: ${here}`}`);
  }

  /** Prints the counts; how many cases failed. */
  print(): number {
    for (const [what, count] of [...this.#counts].sort()) console.log(`${count}\t${what}`);
    return this.#failed.size;
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  #fail(index: number, what: string): void {
    this.#failed.add(index);
    console.log(`FAIL case ${index}, ${what.slice(0, 600)}\n     ${JSON.stringify(this.#cases[index])}`);
  }
}
