/** webpack and Rspack, by their commands; the page loads what they build. */
import { join } from 'node:path';
import { fixtureFiles } from '../fixture.js';
import { command, makeProject } from '../project.js';
import { HEADERS, NOTHING, pageIn, type Row } from '../row.js';

const CONFIG = `export default { mode: 'production', entry: './page.js', output: { publicPath: 'auto' } };\n`;

function row(name: string, quick: boolean, tool: string, bin: string, config: string): Row {
  return {
    name,
    quick,
    add: NOTHING,
    threads: HEADERS,
    async run(tarball) {
      const files = fixtureFiles();
      files.set(config, CONFIG);
      files.set('dist/index.html', files.get('index.html')!.replace('./page.js', './main.js'));
      const tools = tool === 'webpack' ? ['webpack', 'webpack-cli'] : ['@rspack/core', '@rspack/cli'];
      const folder = await makeProject(tool, tarball, { tools, files });
      await command(folder, process.execPath, [join('node_modules', bin), 'build']);
      return pageIn(join(folder, 'dist'));
    },
  };
}

export const webpackRows: readonly Row[] = [
  row('webpack 5', true, 'webpack', 'webpack-cli/bin/cli.js', 'webpack.config.mjs'),
  row('Rspack 2', false, 'rspack', '@rspack/cli/bin/rspack.js', 'rspack.config.mjs'),
];
