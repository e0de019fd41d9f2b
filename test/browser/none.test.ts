/** Stands in for the browser project where no Chromium is found, so that the summary shows what was left out. */
import { test } from 'vitest';

test.skip('browser tests: no Chromium found (install chromium, or let CHROMIUM_PATH name one)', () => {});
