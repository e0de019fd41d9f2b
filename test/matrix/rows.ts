/** Every row of the matrix, in the order of its table. */
import type { Row } from './row.js';
import { bundlerRows } from './rows/bundlers.js';
import { example } from './rows/example.js';
import { firefox } from './rows/firefox.js';
import { nextRows } from './rows/next.js';
import { nodeRows } from './rows/node.js';
import { refusalRows } from './rows/refusals.js';
import { testRunnerRows } from './rows/test-runners.js';
import { typesRows } from './rows/types.js';
import { viteRows } from './rows/vite.js';
import { webpackRows } from './rows/webpack.js';
import { workerd } from './rows/workerd.js';

export const rows: readonly Row[] = [
  ...viteRows,
  ...webpackRows,
  ...bundlerRows,
  ...nextRows,
  ...nodeRows,
  workerd,
  ...testRunnerRows,
  example,
  firefox,
  ...typesRows,
  ...refusalRows,
];
