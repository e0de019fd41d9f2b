/** The tables of this folder's README, from the results beside it. */
import { readdirSync, readFileSync } from 'node:fs';
import { folded, insertTables, markdownTable } from '../core/markdown.js';
import { textOf } from '../core/results.js';
import type { PathRow } from './paths.js';
import { MARGIN, OPERATIONS, shapeOf, type VariantsReport } from './report.js';
import { BUILDS, type Build, FAMILIES, type Family, SHAPES, tileName } from './shapes.js';
import type { TileRow } from './tiles.js';

/** One engine's results of one build. */
interface Column {
  readonly head: string;
  readonly tiles: readonly TileRow[];
  readonly paths: readonly PathRow[];
}

function columnsOf(reports: readonly VariantsReport[], build: Build): Column[] {
  return reports.flatMap(({ engine, tiles, paths }) => {
    const own = tiles.filter(({ kernels }) => kernels === build);
    if (own.length === 0) return [];
    const head = engine.replace(/\.\d+\.\d+ .*/, '');
    return [{ head, tiles: own, paths: paths.filter(({ kernels }) => kernels === build) }];
  });
}

/** Winner of each family, build and engine, and what the package's tile is of it. */
function winnerTable(reports: readonly VariantsReport[]): string {
  const engines = columnsOf(reports, 'simd').map(({ head }) => head);
  const rows = BUILDS.flatMap((build) =>
    FAMILIES.map((family) => {
      const columns = columnsOf(reports, build);
      const cells = engines.map((engine) => {
        const tiles = columns.find(({ head }) => head === engine)?.tiles;
        return tiles === undefined ? '' : winnerCell(tiles.filter((row) => row.family === family));
      });
      const has = columns[0]?.tiles.find((row) => row.family === family && row.chosen)?.tile ?? '';
      return [build, family, has, ...cells];
    }),
  );
  return markdownTable(['build', 'family', 'the package has', ...engines], rows);
}

function winnerCell(tiles: readonly TileRow[]): string {
  const own = tiles.find(({ chosen }) => chosen)!;
  const best = tiles.find(({ winner }) => winner)!;
  const share = own.percentOfCeiling / best.percentOfCeiling;
  return share >= 1 - MARGIN
    ? `**${own.tile}**`
    : `${best.tile}; ${own.tile} has ${(100 * share).toFixed(0)} %`;
}

/** GFLOP/s of all tiles of a family. */
function familyTable(reports: readonly VariantsReport[], family: Family): string {
  const columns = BUILDS.flatMap((build) =>
    columnsOf(reports, build).map(({ head, tiles }) => ({
      head: `${head} ${build}`,
      tiles: tiles.filter((row) => row.family === family),
    })),
  );
  const names = SHAPES.filter((shape) => shape.family === family).map(tileName);
  const rows = names.map((name) => [
    name,
    ...columns.map(({ tiles }) => tileCell(tiles.find(({ tile }) => tile === name)!)),
  ]);
  const ceilings = columns.map(({ tiles }) => tiles[0]!.ceiling.toFixed(1));
  return markdownTable(
    [family, ...columns.map(({ head }) => head)],
    [...rows, ['register-only loop', ...ceilings]],
  );
}

function tileCell({ gflops, winner, chosen }: TileRow): string {
  const text = chosen ? `[${gflops.toFixed(1)}]` : gflops.toFixed(1);
  return winner ? `**${text}**` : text;
}

/** What the plans take on each shape, and what was faster by more than the margin. */
function pathTable(reports: readonly VariantsReport[], build: Build, operation: string): string {
  const columns = columnsOf(reports, build).map(({ head, paths }) => ({
    head,
    paths: paths.filter((row) => row.operation === operation),
  }));
  const shapes = [...new Set(columns[0]!.paths.map(shapeOf))];
  const rows = shapes.map((shape) => [
    shape,
    ...columns.map(({ paths }) => pathCell(paths.filter((row) => shapeOf(row) === shape))),
  ]);
  return markdownTable([operation, ...columns.map(({ head }) => head)], rows);
}

function pathCell(paths: readonly PathRow[]): string {
  const own = paths.find(({ planned }) => planned)!;
  const best = paths.find(({ winner }) => winner)!;
  const text = `${own.path} ${own.gflops.toFixed(1)}`;
  if (best.toPlanned <= 1 / (1 - MARGIN)) return text;
  return `${text}; **${best.path}** is ${best.toPlanned.toFixed(2)} times as fast`;
}

function readReports(folder: URL): VariantsReport[] {
  const files = readdirSync(folder).filter((file) => /^node\d+\.json$/.test(file));
  return files
    .sort()
    .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as VariantsReport);
}

/** Path in the repository and content. */
export function variantFiles(): Map<string, string> {
  const reports = readReports(new URL('./', import.meta.url));
  const parts: Readonly<Record<string, string>> = {
    winners: winnerTable(reports),
    tiles: FAMILIES.map((family) => familyTable(reports, family)).join('\n\n'),
    paths: BUILDS.flatMap((build) =>
      OPERATIONS.map((operation) => folded(`${build}, ${operation}`, pathTable(reports, build, operation))),
    ).join('\n\n'),
  };
  const path = 'bench/variants/README.md';
  const text = Object.entries(parts).reduce(
    (page, [name, table]) => insertTables(page, table, name),
    textOf(path),
  );
  return new Map([[path, text]]);
}
