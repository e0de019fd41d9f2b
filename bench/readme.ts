/** `npm run bench:readme`: writes the README's summaries, `docs/results/` and the charts from the committed results. */
import { writeFileSync } from 'node:fs';
import { generatedFiles } from './pages.js';

for (const [path, content] of generatedFiles())
  writeFileSync(new URL(`../${path}`, import.meta.url), content);
