/** `npm run bench:readme`: writes the README's table and chart, `docs/results/` and the charts from the committed results. */
import { writeFileSync } from 'node:fs';
import { suiteFiles } from './pages.js';
import { peerFiles } from './peers/pages.js';
import { variantFiles } from './variants/pages.js';

// In turn: both of the first write into the summary and the README.
for (const files of [suiteFiles, peerFiles, variantFiles])
  for (const [path, content] of files()) writeFileSync(new URL(`../${path}`, import.meta.url), content);
