/** What `lora-wasm train` shows: a bar on a terminal, plain lines elsewhere. `command.ts` calls it. */

/** How far a run is. */
export interface Shown {
  readonly step: number;
  readonly loss: number;
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
}

/** Lines of progress in a whole run, about. */
const LINES = 50;
const WIDTH = 30;
/** Milliseconds between two looks of the bar. */
const EVERY = 50;
const CLEAR = '\r\u001b[K';

export class TrainReport {
  readonly #stream: NodeJS.WriteStream;
  readonly #steps: number;
  /** The bar as it stands, and when it was drawn; empty where there is none. */
  #bar = '';
  #drawn = Number.NEGATIVE_INFINITY;

  /** @param stream - where everything goes: standard error where standard output is one object of JSON */
  constructor(stream: NodeJS.WriteStream, steps: number) {
    this.#stream = stream;
    this.#steps = steps;
  }

  step({ step, loss, tokensPerSecond, secondsLeft }: Shown): void {
    const told = `loss ${loss.toFixed(4)}, ${tokensPerSecond.toFixed(0)} tokens/s, ${duration(secondsLeft)} left`;
    const last = step === this.#steps;
    if (!this.#stream.isTTY) {
      if (step % Math.ceil(this.#steps / LINES) === 0 || last)
        this.line(`step ${step}/${this.#steps}, ${told}`);
      return;
    }
    const now = performance.now();
    if (now - this.#drawn < EVERY && !last) return;
    this.#drawn = now;
    const filled = Math.round((WIDTH * step) / this.#steps);
    this.#bar = `[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${step}/${this.#steps}, ${told}`;
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
