/** A bar on standard error while something large is read: in a terminal only, and gone at the end. */

const WIDTH = 30;
/** What is smaller is there before a bar is read. */
const LARGE = 2 ** 25;
/** Milliseconds between two looks of a bar. */
export const EVERY = 50;
/** Takes a bar's line away. */
export const CLEAR = '\r\u001b[K';

/** Where a bar is drawn: of a terminal a line, of anything else nothing. */
export interface Terminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** A bar of a training too: `[###.......]`. */
export function barOf(done: number, total: number): string {
  const filled = Math.round((WIDTH * done) / total);
  return `[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}]`;
}

/**
 * @param what - what is read, such as 'model'
 * @param unit - of what is counted; bytes are shown where there are many only
 */
export function progressBar(
  what: string,
  stream: Terminal = process.stderr,
  unit: 'bytes' | 'rows' = 'bytes',
): { update(done: number, total: number | null, what?: 'fetch' | 'read'): void; end(): void } {
  let shown = Number.NEGATIVE_INFINITY;
  return {
    update(done, total, part) {
      const now = performance.now();
      if (
        !stream.isTTY ||
        total === null ||
        (unit === 'bytes' && total < LARGE) ||
        (now - shown < EVERY && done < total)
      )
        return;
      shown = now;
      const size = unit === 'bytes' ? `${Math.round(total / 1e6)} MB` : `${total}`;
      stream.write(
        `\r${part === 'fetch' ? `fetching ${what}` : what} ${barOf(done, total)} ${Math.floor((100 * done) / total)} % of ${size}`,
      );
    },
    end() {
      if (shown > 0) stream.write(CLEAR);
    },
  };
}
