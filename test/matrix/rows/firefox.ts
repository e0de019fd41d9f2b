/** Firefox as it is installed, on what Vite 8 builds: the page posts its report, since nothing can be asked of it. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { openIn } from '../../browser/stock.js';
import { fixtureFiles } from '../fixture.js';
import { command, makeProject, NotInstalled } from '../project.js';
import { HEADERS, NOTHING, type Row, readReport } from '../row.js';
import { host } from '../serve.js';

const PLACES = ['/usr/bin/firefox-esr', '/usr/bin/firefox'];
const LIMIT = 120_000;

/** Posts what `page.js` left, once it is there. */
const POST = `<script type="module">
      while (globalThis.matrixReport === undefined) await new Promise((resolve) => setTimeout(resolve, 100));
      await fetch('/report', { method: 'POST', body: JSON.stringify(globalThis.matrixReport) });
    </script>
  </body>`;

/** @throws NotInstalled where there is none */
function findFirefox(): string {
  const places = process.env.FIREFOX_PATH ? [process.env.FIREFOX_PATH] : PLACES;
  for (const path of places) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  throw new NotInstalled(`no Firefox at ${places.join(' or ')}; FIREFOX_PATH may name one`);
}

export const firefox: Row = {
  name: 'Firefox',
  quick: false,
  add: NOTHING,
  threads: HEADERS,
  async run(tarball) {
    const path = findFirefox();
    const files = fixtureFiles();
    files.set('index.html', files.get('index.html')!.replace('</body>', POST));
    const folder = await makeProject('firefox', tarball, { tools: ['vite8'], files });
    await command(folder, process.execPath, ['node_modules/vite8/bin/vite.js', 'build']);
    let hear: (text: string) => void = () => {};
    const heard = new Promise<string>((resolve, reject) => {
      hear = resolve;
      setTimeout(() => reject(new Error('the page posted no report')), LIMIT).unref();
    });
    const server = await host(join(folder, 'dist'), { report: (text) => hear(text) });
    const end = await openIn('firefox', path, server.url);
    try {
      return readReport(JSON.parse(await heard));
    } finally {
      await end();
      await server.stop();
    }
  },
};
