/** `layersToTransform` and `layersPattern`: which numbered layers targets given as suffixes mean. Used by targets.ts. */
import { compileOpening, type OpeningPattern } from '../../patterns/pattern.js';
import type { Selection } from './targets.js';

/** Whether a name's layer number is among `layersToTransform`; null, `[]` and an empty pattern restrict nothing, as in PEFT. */
export function layerFilter(
  where: string,
  { layersToTransform, layersPattern }: Selection,
): (name: string) => boolean {
  const layers = typeof layersToTransform === 'number' ? [layersToTransform] : (layersToTransform ?? []);
  if (layers.length === 0) return () => true;
  const given = typeof layersPattern === 'string' ? [layersPattern] : (layersPattern ?? []);
  const within = `${where}: layersPattern`;
  // The first number counts. Without a pattern the list needs a segment before it, with one it does not: so PEFT has it.
  const patterns: OpeningPattern[] =
    given.length === 0 || layersPattern === ''
      ? [compileOpening(within, '[^.]*', { before: '.*?\\.', after: NUMBER })]
      : given.map((pattern) => compileOpening(within, pattern, { before: '(?:^|.*?\\.)', after: NUMBER }));
  return (name) => {
    // The first pattern that matches gives the number, or none.
    const opened = patterns.map((pattern) => pattern.opens(name)).find((found) => found !== null);
    const index = opened?.index ?? null;
    return index !== null && layers.includes(Number(index));
  };
}

const NUMBER = '\\.(?P<index>\\d+)\\.';
