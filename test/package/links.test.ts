/** Every relative link of the documentation leads to a file that is there, and to a heading that it has; in the tarball too. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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

/** Where a page's links lead, without those to other sites. */
function linksOf(page: URL): string[] {
  const text = readFileSync(page, 'utf8').replace(/```[\s\S]*?```|`[^`\n]*`/g, '');
  const links = [...text.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link!);
  return links.filter((link) => !/^https?:/.test(link));
}

test.each(PAGES)('%s', (path) => {
  const page = new URL(path, ROOT);
  expect(linksOf(page).filter((link) => isBroken(page, link))).toEqual([]);
});

test('a page of the tarball leads only to what is in the tarball', () => {
  const list = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
    cwd: fileURLToPath(ROOT),
    encoding: 'utf8',
  });
  const [{ files }] = JSON.parse(list) as [{ files: { path: string }[] }];
  const packed = new Set(files.map(({ path }) => new URL(path, ROOT).href));
  const pages = [...packed].filter((path) => path.endsWith('.md'));
  expect(pages).toContain(new URL('docs/results/summary.md', ROOT).href);
  const outside = pages.flatMap((page) =>
    linksOf(new URL(page))
      .filter((link) => !packed.has(new URL(link, page).href.replace(/#.*/, '')))
      .map((link) => `${page.slice(ROOT.href.length)}: ${link}`),
  );
  expect(outside).toEqual([]);
});

test('pictures of the pages are packed, and small', () => {
  const pictures = readdirSync(new URL('docs/', ROOT)).filter((name) =>
    /\.(svg|png|jpg|gif|webp)$/.test(name),
  );
  const sizes = pictures.map((name) => readFileSync(new URL(`docs/${name}`, ROOT)).length);
  expect(sizes.length).toBeGreaterThan(0);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(300_000);
});

test('no address of a repository is given before there is one', () => {
  const manifest = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as object;
  expect(Object.keys(manifest).filter((key) => ['repository', 'homepage', 'bugs'].includes(key))).toEqual([]);
});
