/** workerd, which compiles nothing at run time: the kernels are a module of the worker's, the rest is bundled by esbuild. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixtureFiles } from '../fixture.js';
import { command, makeProject, startServer } from '../project.js';
import { freePort, type Row, readReport } from '../row.js';

const OPTIONS = `import wasm from './simd.wasm';

export const options = { wasm };
`;

const WORKER = `import { check } from './check.js';

export default {
  async fetch(request) {
    if (new URL(request.url).pathname !== '/check') return new Response('ready');
    try {
      return Response.json({ report: await check(() => import('./quickstart.js')) });
    } catch (error) {
      return Response.json({ error: String(error?.stack ?? error) });
    }
  },
};
`;

const config = (port: number): string => `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "localhost:${port}", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  compatibilityDate = "2026-01-01",
  modules = [
    (name = "worker.js", esModule = embed "dist/worker.js"),
    (name = "simd.wasm", wasm = embed "simd.wasm"),
  ],
);
`;

export const workerd: Row = {
  name: 'workerd',
  quick: false,
  add: '`wasm`: an imported module',
  threads: null,
  async run(tarball) {
    const port = await freePort();
    const files = fixtureFiles({ options: OPTIONS });
    files.set('worker.js', WORKER);
    files.set('config.capnp', config(port));
    const tools = ['@cloudflare/workerd-linux-64', 'esbuild'];
    const folder = await makeProject('workerd', tarball, { tools, files });
    copyFileSync(join(folder, 'node_modules/lora-wasm/build/simd.wasm'), join(folder, 'simd.wasm'));
    const args = ['worker.js', '--bundle', '--format=esm', '--outdir=dist', '--external:./simd.wasm'];
    await command(folder, process.execPath, ['node_modules/esbuild/bin/esbuild', ...args]);
    const binary = join(folder, 'node_modules/@cloudflare/workerd-linux-64/bin/workerd');
    const server = await startServer(folder, binary, ['serve', 'config.capnp'], port);
    try {
      return readReport(await (await fetch(`${server.url}check`)).json());
    } finally {
      await server.stop();
    }
  },
};
