/** What `lora-wasm train` shows: a bar on a terminal, plain lines elsewhere. `command.ts` calls it. */

import { barOf, CLEAR, EVERY, type Terminal } from '../progress.js';

/** A step that was made. */
export interface Shown {
  readonly step: number;
  readonly loss: number;
  /** Tokens that were computed in it, and how long they took. */
  readonly tokens: number;
  readonly seconds: number;
}

/** Lines of progress in a whole run, about. */
const LINES = 50;

export class TrainReport {
  readonly #stream: Terminal;
  readonly #steps: number;
  /** The bar as it stands, and when it was drawn; empty where there is none. */
  #bar = '';
  #drawn = Number.NEGATIVE_INFINITY;
  /** Steps, tokens and time of this process: an earlier one's are not in it. */
  #made = 0;
  #tokens = 0;
  #seconds = 0;

  /** @param stream - where everything goes: standard error where standard output is one object of JSON */
  constructor(stream: Terminal, steps: number) {
    this.#stream = stream;
    this.#steps = steps;
  }

  /** Tokens of all steps that were shown. */
  get tokens(): number {
    return this.#tokens;
  }

  step({ step, loss, tokens, seconds }: Shown): void {
    this.#made++;
    this.#tokens += tokens;
    this.#seconds += seconds;
    const speed = this.#tokens / this.#seconds;
    const left = ((this.#steps - step) * this.#seconds) / this.#made;
    const told = `loss ${loss.toFixed(4)}, ${speed.toFixed(0)} tokens/s, ${duration(left)} left`;
    const last = step === this.#steps;
    if (!this.#stream.isTTY) {
      if (step % Math.ceil(this.#steps / LINES) === 0 || last)
        this.line(`step ${step}/${this.#steps}, ${told}`);
      return;
    }
    const now = performance.now();
    if (now - this.#drawn < EVERY && !last) return;
    this.#drawn = now;
    this.#bar = `${barOf(step, this.#steps)} ${step}/${this.#steps}, ${told}`;
    this.#stream.write(`${CLEAR}${this.#bar}`);
  }

  /** A line of its own, above the bar. */
  line(text: string): void {
    this.#stream.write(this.#bar === '' ? `${text}\n` : `${CLEAR}${text}\n${this.#bar}`);
  }

  /** The bar is gone. */
  end(): void {
    if (this.#bar !== '') this.#stream.write(CLEAR);
    this.#bar = '';
  }
}

/** `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min${whole % 60 === 0 ? '' : ` ${whole % 60} s`}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? '' : ` ${minutes % 60} min`}`;
}

/** `93 MB`, `1.2 GB`. */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
