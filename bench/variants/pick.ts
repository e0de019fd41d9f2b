/**
 * `npm run bench:variants`: the tiles that were tried against each other, and the package's paths against each other, in each
 * build that this Node has; everything is verified before it is timed. `--json FILE` keeps the results.
 */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { createRuntime } from 'lora-wasm';
import { buildCeilingLoops } from '../core/ceilings.js';
import { Yardstick } from '../core/peak.js';
import { showProgress } from '../core/print.js';
import { commandLine, commitOf, cpuName, nodeName, today } from '../core/provenance.js';
import { TestBed } from './bed.js';
import { compileTiles } from './build.js';
import { measurePaths, type PathRow } from './paths.js';
import { keptText, printVariants, type VariantsReport } from './report.js';
import { BUILDS, type Build, SHAPES } from './shapes.js';
import { sourceOf } from './source.js';
import { measureTiles, type TileRow } from './tiles.js';

interface Options {
  readonly json?: string;
  readonly quick: boolean;
}

async function tilesOf(build: Build, quick: boolean): Promise<TileRow[]> {
  const module = new WebAssembly.Module(await compileTiles(sourceOf(SHAPES), build));
  const yardstick = new Yardstick(await buildCeilingLoops(build === 'relaxed-simd'));
  return measureTiles(build, SHAPES, new TestBed(module), yardstick, quick);
}

async function pathsOf(build: Build, quick: boolean): Promise<PathRow[]> {
  const rt = await createRuntime({ kernels: build, threads: 1, seed: 1 });
  try {
    return measurePaths(rt, quick);
  } finally {
    rt.dispose();
  }
}

async function main(): Promise<void> {
  const { json, quick } = new Command('npm run bench:variants --')
    .option('--json <file>', 'also write the results as JSON')
    .option('--quick', 'a few rounds and small shapes, to see whether all works', false)
    .parse()
    .opts<Options>();
  const tiles: TileRow[] = [];
  const paths: PathRow[] = [];
  for (const build of BUILDS) {
    if (!WebAssembly.validate(await compileTiles(sourceOf(SHAPES), build))) {
      console.log(`${nodeName()} has no ${build}`);
      continue;
    }
    showProgress(`${build}: tiles`);
    tiles.push(...(await tilesOf(build, quick)));
    showProgress(`${build}: paths`);
    paths.push(...(await pathsOf(build, quick)));
    showProgress('');
  }
  const report: VariantsReport = {
    ...{ commit: commitOf(), cpu: cpuName(), engine: nodeName() },
    ...{ command: commandLine('bench:variants', 'bench/variants/pick.ts'), date: today() },
    ...{ tiles, paths },
  };
  printVariants(report);
  if (json !== undefined) writeFileSync(json, keptText(report));
}

await main();
