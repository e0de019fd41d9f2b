/** What Node computes with each kernel level: the numbers that every row is held against. */
import { fixtureFiles } from './fixture.js';
import { command, makeProject } from './project.js';
import type { Reference, Run } from './report.js';
import { printedReport } from './row.js';

const LEVELS = ['simd', 'relaxed-simd'] as const;

/** Prints both runs with the kernels that the first argument names, and the product by JavaScript alone. */
const PROGRAM = `import { productTwin } from './one/product.js';
console.log('TWIN ' + productTwin());
await import('./print.js');
`;

/** @throws Error where Node's own product is not that of plain JavaScript */
export async function makeReference(tarball: string): Promise<Reference> {
  const files = fixtureFiles({ options: 'export const options = { kernels: process.argv[2] };\n' });
  files.set('reference.js', PROGRAM);
  const folder = await makeProject('reference', tarball, { files });
  // Node 20 has the relaxed kernels behind a flag; later ones have dropped it.
  const flags = process.versions.node.startsWith('20.') ? ['--experimental-wasm-relaxed-simd'] : [];
  const runs: Record<string, Run> = {};
  let product = '';
  for (const level of LEVELS) {
    const printed = await command(folder, process.execPath, [...flags, 'reference.js', level]);
    const { one } = printedReport(printed);
    product = /TWIN (\S+)/.exec(printed)?.[1] ?? '';
    if (one.kernels !== level || one.product !== product)
      throw new Error(`Node's ${one.kernels} kernels: the product is ${one.product}, expected ${product}`);
    runs[level] = one;
  }
  return { runs, product };
}
