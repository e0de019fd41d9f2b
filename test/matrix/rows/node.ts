/** The runtimes that run the program as it is: Node's versions, Deno, Bun. */
import { join } from 'node:path';
import { fixtureFiles } from '../fixture.js';
import { makeProject } from '../project.js';
import { NOTHING, programIn, type Row } from '../row.js';

function runtime(name: string, tool: string, binary: string, args: readonly string[] = []): Row {
  return {
    name,
    quick: false,
    add: NOTHING,
    threads: NOTHING,
    async run(tarball) {
      const folder = await makeProject(tool.replaceAll(/[@/]/g, '-'), tarball, {
        tools: [tool],
        files: fixtureFiles(),
      });
      return programIn(folder, join(folder, 'node_modules', tool, binary), [...args, 'print.js']);
    },
  };
}

export const nodeRows: readonly Row[] = [
  { ...runtime('Node 20', 'node20', 'bin/node'), quick: true },
  runtime('Node 22', 'node22', 'bin/node'),
  runtime('Node 24', 'node24', 'bin/node'),
  runtime('Node 26', 'node26', 'bin/node'),
  runtime('Deno 2', '@deno/linux-x64-glibc', 'deno', ['run', '--allow-all', '--node-modules-dir=manual']),
  runtime('Bun 1', '@oven/bun-linux-x64-baseline', 'bin/bun'),
];
