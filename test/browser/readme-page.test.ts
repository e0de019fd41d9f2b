/** The README's page, as it is written, trains to the end and shows a loss near zero. */
import markup from 'virtual:quickstart/markup';
import { expect, test } from 'vitest';

test('the page of the README trains', async () => {
  document.body.innerHTML = markup;
  await import('virtual:quickstart/page');
  expect(Number(document.querySelector('output')?.textContent)).toBeLessThan(0.001);
});
