/** How a contestant is named where its variants must be told apart. */
import type { Row } from '../records.js';

/** A contestant as tables, charts and lists name it. */
export function labelOf({ contestant, variant }: Pick<Row, 'contestant' | 'variant'>): string {
  return variant === undefined ? contestant : `${contestant} (${variant})`;
}
