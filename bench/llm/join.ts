/** One report of several processes' runs of the suite: their rounds behind one another, row by row. */
import { medianOf, summarise } from '../core/measure.js';
import { higher } from '../core/peak.js';
import type { Report, ResidentJob, Row } from '../core/records.js';
import { besideCeilings, hasCeilings, isModelRow } from './turns.js';

type Measured = Pick<Report, 'rows' | 'ceilings' | 'notMeasured' | 'peakResident'>;

const keyOf = ({ contestant, operation, shape }: Row): string => `${contestant}, ${operation}, ${shape}`;

/** @param runs - one at least @throws Error where one lacks a row that another has */
export function joinRuns(runs: readonly Measured[]): Measured {
  const ceilings = runs.map((run) => run.ceilings).reduce(higher);
  const byKey = runs.map(({ rows }) => new Map(rows.map((row) => [keyOf(row), row])));
  const keys = new Set(byKey.flatMap((rows) => [...rows.keys()]));
  const rows = [...keys].map((key) => {
    const parts = byKey.flatMap((own) => own.get(key) ?? []);
    if (parts.length < runs.length)
      throw new Error(`joinRuns: ${parts.length} of ${runs.length} runs have the row '${key}', expected all`);
    return joinRows(parts, ceilings);
  });
  const left = new Map(
    runs.flatMap(({ notMeasured }) => notMeasured).map((one) => [JSON.stringify(one), one]),
  );
  const peaks = runs.flatMap(
    ({ peakResident }) => Object.entries(peakResident ?? {}) as [ResidentJob, number][],
  );
  const peakResident: Partial<Record<ResidentJob, number>> = {};
  for (const [job, bytes] of peaks) peakResident[job] = Math.max(bytes, peakResident[job] ?? 0);
  return { rows, ceilings, notMeasured: [...left.values()], ...(peaks.length > 0 && { peakResident }) };
}

/** A ratio is the median of the processes': its rounds are neighbours within one. */
function joinRows(parts: readonly Row[], { fused, plain }: Report['ceilings']): Row {
  const first = parts[0]!;
  const timing = summarise(parts.flatMap(({ rounds }) => rounds));
  const ratios = parts.flatMap(({ ratio }) => ratio ?? []);
  const residents = parts.filter(isModelRow).flatMap(({ resident }) => resident ?? []);
  const joined: Row = {
    ...{
      ...first,
      ...(residents.length > 0 && { resident: Math.max(...residents) }),
      ...timing,
      gflops: (first.gflops * first.median) / timing.median,
    },
    ratio: ratios.length === 0 ? null : medianOf(ratios),
  };
  if (hasCeilings(first))
    return besideCeilings(
      joined,
      parts.filter(hasCeilings).flatMap((part) => part.ceilings),
    );
  const top = first.kernels === 'relaxed-simd' ? fused : plain;
  const stated = first.percentOfCeiling !== null && top !== null;
  return stated ? { ...joined, percentOfCeiling: (100 * joined.gflops) / (top * first.threads) } : joined;
}
