/** What a run of `pick.ts` keeps, and its tables in print. */
import { printTable } from '../core/print.js';
import type { PathRow } from './paths.js';
import { BUILDS, FAMILIES } from './shapes.js';
import type { TileRow } from './tiles.js';

export interface VariantsReport {
  readonly commit: string;
  readonly cpu: string;
  readonly engine: string;
  readonly command: string;
  readonly date: string;
  readonly tiles: readonly TileRow[];
  readonly paths: readonly PathRow[];
}

export const OPERATIONS = ['forward', 'backward to the input', 'backward to the weight'] as const;

/** A difference below this is noise, or not worth another kernel. */
export const MARGIN = 0.03;

/** The tiles that the package computes with and that are behind the winner of their family by more than the margin. */
export function behind({ tiles }: Pick<VariantsReport, 'tiles'>): string[] {
  return tiles.flatMap((own) => {
    if (!own.chosen) return [];
    const best = tiles.find((row) => row.winner && row.kernels === own.kernels && row.family === own.family)!;
    const share = own.percentOfCeiling / best.percentOfCeiling;
    if (share >= 1 - MARGIN) return [];
    return [
      `${own.kernels}, ${own.family}: ${own.tile} has ${(100 * share).toFixed(1)} % of ${best.tile}'s speed`,
    ];
  });
}

/** A table a build and family, and one a build and operation. */
export function printVariants(report: VariantsReport): void {
  const { cpu, engine, tiles, paths } = report;
  console.log(`${cpu} | ${engine} | *: the winner, []: what the package does`);
  for (const build of BUILDS) {
    for (const family of FAMILIES) {
      const rows = tiles.filter((row) => row.kernels === build && row.family === family);
      if (rows.length === 0) continue;
      console.log(`\n${build}, ${family} tiles; register-only loop ${rows[0]!.ceiling.toFixed(1)} GFLOP/s`);
      printTable(
        ['tile', 'GFLOP/s', '% of ceiling'],
        rows.map((row) => [
          marked(row.tile, row.winner, row.chosen),
          row.gflops.toFixed(1),
          row.percentOfCeiling.toFixed(1),
        ]),
      );
    }
    for (const operation of OPERATIONS) {
      const rows = paths.filter((row) => row.kernels === build && row.operation === operation);
      if (rows.length === 0) continue;
      console.log(`\n${build}, ${operation}: GFLOP/s of each path`);
      printPaths(rows);
    }
  }
  for (const line of behind(report)) console.log(`behind the winner: ${line}`);
}

function printPaths(rows: readonly PathRow[]): void {
  const names = [...new Set(rows.map(({ path }) => path))];
  const shapes = [...new Set(rows.map(shapeOf))];
  printTable(
    ['shape', ...names],
    shapes.map((shape) => [
      shape,
      ...names.map((name) => {
        const row = rows.find((one) => shapeOf(one) === shape && one.path === name)!;
        return marked(row.gflops.toFixed(1), row.winner, row.planned);
      }),
    ]),
  );
}

export function shapeOf({ M, N, K }: PathRow): string {
  return `M=${M} ${N}x${K}`;
}

function marked(text: string, winner: boolean, own: boolean): string {
  return `${own ? `[${text}]` : text}${winner ? ' *' : ''}`;
}

/** What the README's tables use, a row a line and no more digits than a figure can mean: of the paths, the planned and the winner. */
export function keptText(report: VariantsReport): string {
  const { tiles, paths, ...head } = report;
  const digits = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(5)) : value;
  const lines = (rows: readonly object[]): string =>
    rows.map((row) => `\n  ${JSON.stringify(row, digits)}`).join(',');
  const used = paths.filter(({ planned, winner }) => planned || winner);
  return `${JSON.stringify(head, null, 1).slice(0, -2)},\n "tiles": [${lines(tiles)}\n ],\n "paths": [${lines(used)}\n ]\n}\n`;
}
