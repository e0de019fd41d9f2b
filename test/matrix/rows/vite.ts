/** Vite's versions: what it builds, served with the headers, and its development server. */
import { join } from 'node:path';
import { fixtureFiles } from '../fixture.js';
import { command, makeProject, startServer } from '../project.js';
import { freePort, HEADERS, NOTHING, pageAt, pageIn, type Row } from '../row.js';
import { ISOLATED } from '../serve.js';

interface Version {
  readonly tool: string;
  readonly quick: boolean;
  readonly build: string;
  readonly dev: string;
  /** Lines of `vite.config.js`. */
  readonly config: string;
}

/** Before Vite 8 the development server moves JavaScript away from the files beside it. */
const EXCLUDE = "optimizeDeps: { exclude: ['lora-wasm'] }";
/** Vite 5 and 6 build for browsers without top-level `await`, which the quickstart has. */
const TARGET = "build: { target: 'es2022' }";

const VERSIONS: Readonly<Record<string, Version>> = {
  'Vite 8': { tool: 'vite8', quick: true, build: NOTHING, dev: NOTHING, config: '' },
  'Vite 7': { tool: 'vite7', quick: true, build: NOTHING, dev: `\`${EXCLUDE}\``, config: EXCLUDE },
  'Vite 6': {
    tool: 'vite6',
    quick: false,
    build: `\`${TARGET}\``,
    dev: `\`${EXCLUDE}\``,
    config: `${EXCLUDE}, ${TARGET}`,
  },
  'Vite 5': {
    tool: 'vite5',
    quick: false,
    build: `\`${TARGET}\``,
    dev: `\`${EXCLUDE}\``,
    config: `${EXCLUDE}, ${TARGET}`,
  },
};

async function project(tarball: string, { tool, config }: Version): Promise<string> {
  const headers = JSON.stringify(ISOLATED);
  const files = fixtureFiles();
  files.set('vite.config.js', `export default { server: { headers: ${headers} }, ${config} };\n`);
  return makeProject(tool, tarball, { tools: [tool], files });
}

export const viteRows: readonly Row[] = Object.entries(VERSIONS).flatMap(([name, version]): Row[] => {
  const bin = join('node_modules', version.tool, 'bin', 'vite.js');
  return [
    {
      name: `${name}, build`,
      quick: version.quick,
      add: version.build,
      threads: HEADERS,
      async run(tarball) {
        const folder = await project(tarball, version);
        await command(folder, process.execPath, [bin, 'build']);
        return pageIn(join(folder, 'dist'));
      },
    },
    {
      name: `${name}, dev`,
      quick: version.quick,
      add: version.dev,
      threads: HEADERS,
      async run(tarball) {
        const folder = await project(tarball, version);
        const port = await freePort();
        const args = [bin, '--port', `${port}`, '--strictPort'];
        const server = await startServer(folder, process.execPath, args, port);
        try {
          return await pageAt(server.url);
        } finally {
          await server.stop();
        }
      },
    },
  ];
});
