/** Every relative link of the documentation leads to a file that is there, and to a heading that it has. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const ROOT = new URL('../../', import.meta.url);
const PAGES = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'bench/variants/README.md', 'examples/mnist/README.md'],
  ...readdirSync(new URL('docs/', ROOT), { encoding: 'utf8', recursive: true })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`),
];

/** Headings as GitHub names them in addresses. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Whether a link of `page` leads nowhere. */
function isBroken(page: URL, link: string): boolean {
  const target = new URL(link, page);
  const anchor = target.hash.slice(1);
  target.hash = '';
  if (!existsSync(target)) return true;
  return anchor !== '' && !anchorsOf(readFileSync(target, 'utf8')).includes(anchor);
}

test.each(PAGES)('%s', (path) => {
  const page = new URL(path, ROOT);
  const text = readFileSync(page, 'utf8').replace(/```[\s\S]*?```|`[^`\n]*`/g, '');
  const links = [...text.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link!);
  expect(links.filter((link) => !/^https?:/.test(link) && isBroken(page, link))).toEqual([]);
});
