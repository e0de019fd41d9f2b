/** Next, with either bundler: a client component in a page, and a route handler on the server, of one build. */
import { join } from 'node:path';
import { fixtureFiles } from '../fixture.js';
import { command, makeProject, type Server, startServer } from '../project.js';
import { freePort, HEADERS, NOTHING, pageAt, type Row, readReport } from '../row.js';
import { ISOLATED } from '../serve.js';

const BIN = join('node_modules', 'next', 'dist', 'bin', 'next');

const LAYOUT = `export default function Layout({ children }) {
  return <html lang="en"><body>{children}</body></html>;
}
`;

const PAGE = `'use client';
import { useEffect } from 'react';

export default function Page() {
  useEffect(() => void import('../page.js'), []);
  return <p>lora-wasm</p>;
}
`;

const ROUTE = `import { check } from '../../check.js';

export const dynamic = 'force-dynamic';

export async function GET() {
  try {
    return Response.json({ report: await check(() => import('../../quickstart.js')) });
  } catch (error) {
    return Response.json({ error: String(error?.stack ?? error) });
  }
}
`;

type Bundler = 'turbopack' | 'webpack';

/** webpack names a server's files by an address that only a page can read. */
const EXTERNAL = "serverExternalPackages: ['lora-wasm']";

const configOf = (
  bundler: Bundler,
): string => `const headers = ${JSON.stringify(Object.entries(ISOLATED).map(([key, value]) => ({ key, value })))};
export default {
  headers: async () => [{ source: '/:path*', headers }],
  turbopack: { root: import.meta.dirname },
  ${bundler === 'webpack' ? `${EXTERNAL},` : ''}
};
`;

/** Builds the project once for both rows. */
const built = new Map<Bundler, Promise<string>>();

async function build(tarball: string, bundler: Bundler): Promise<string> {
  const files = fixtureFiles();
  files.delete('index.html');
  files.set('app/layout.jsx', LAYOUT);
  files.set('app/page.jsx', PAGE);
  files.set('app/check/route.js', ROUTE);
  files.set('next.config.mjs', configOf(bundler));
  const tools = ['next', 'react', 'react-dom'];
  const folder = await makeProject(`next-${bundler}`, tarball, { tools, files });
  await command(folder, process.execPath, [BIN, 'build', `--${bundler}`]);
  return folder;
}

async function serve<T>(tarball: string, bundler: Bundler, use: (server: Server) => Promise<T>): Promise<T> {
  const building = built.get(bundler) ?? build(tarball, bundler);
  built.set(bundler, building);
  const port = await freePort();
  const server = await startServer(await building, process.execPath, [BIN, 'start', '-p', `${port}`], port);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

function rowsOf(bundler: Bundler, name: string): Row[] {
  return [
    {
      name: `Next 16, ${name}, client`,
      quick: false,
      add: NOTHING,
      threads: HEADERS,
      run: (tarball) => serve(tarball, bundler, ({ url }) => pageAt(url)),
    },
    {
      name: `Next 16, ${name}, server`,
      quick: false,
      add: bundler === 'webpack' ? `\`${EXTERNAL}\`` : NOTHING,
      threads: NOTHING,
      run: (tarball) =>
        serve(tarball, bundler, async ({ url }) => readReport(await (await fetch(`${url}check`)).json())),
    },
  ];
}

export const nextRows: readonly Row[] = [
  ...rowsOf('turbopack', 'Turbopack'),
  ...rowsOf('webpack', 'webpack'),
];
