/**
 * Set-ups that cannot work, each with the sentence that it must give: kernels that are missing, a page in their place, policies,
 * a worker's script that is missing or forbidden. A page without a bundler, on a host that answers so.
 */
import { leftAt, withPage } from '../pages.js';
import type { Report } from '../report.js';
import { type Row, readReport } from '../row.js';
import { type Answer, type HostOptions, host, ISOLATED } from '../serve.js';
import { unbundledProject } from './bundlers.js';

const MISSING: Answer = { status: 404, type: 'text/plain', body: 'no such file' };
const PAGE: Answer = { status: 200, type: 'text/html', body: '<!doctype html><title>somebody</title>' };

/** Answers for files whose name ends so. */
const forFiles =
  (ending: string, answer: Answer | 'none') =>
  (path: string): Answer | 'none' | undefined =>
    path.endsWith(ending) ? answer : undefined;

const policy = (text: string): HostOptions => ({
  headers: { ...ISOLATED, 'Content-Security-Policy': text },
});

/** What comes of the page: its report, or the error in place of it. */
async function outcome(tarball: string, options: HostOptions): Promise<Report | string> {
  const server = await host(await unbundledProject(tarball), options);
  try {
    const left = await withPage(server.url, (page) => leftAt(page, 'matrixReport'));
    const { error } = left as { error?: string };
    return error ?? readReport(left);
  } finally {
    await server.stop();
  }
}

/** What must be said has all the words. @throws Error where one is missing */
function expectWords(said: string, words: readonly string[]): void {
  const missing = words.filter((word) => !said.includes(word));
  if (missing.length > 0) throw new Error(`it says '${said}', without '${missing.join("', '")}'`);
}

const common = { quick: true, add: 'refused', listed: false };

function refused(name: string, options: HostOptions, words: readonly string[]): Row {
  return {
    ...common,
    name: `refused: ${name}`,
    async run(tarball) {
      const got = await outcome(tarball, options);
      if (typeof got !== 'string') throw new Error('it ran');
      expectWords(got, ['createRuntime: ', ...words]);
      return null;
    },
  };
}

/** One thread computes all the same, and `threadsReason` says why it is one; null where two do. */
function oneThread(name: string, options: HostOptions, words: readonly string[] | null): Row {
  return {
    ...common,
    name: `threads: ${name}`,
    async run(tarball) {
      const got = await outcome(tarball, options);
      if (typeof got === 'string') throw new Error(got);
      const { threads, threadsReason } = got.two;
      if (threads !== (words === null ? 2 : 1)) throw new Error(`${threads} threads: ${threadsReason}`);
      expectWords(threadsReason, words ?? []);
      return null;
    },
  };
}

const WASM = '.wasm';
const INLINE = "'lora-wasm/inline'";

export const refusalRows: readonly Row[] = [
  refused('kernels that are missing', { answer: forFiles(WASM, MISSING) }, [
    'are not at ',
    'build/relaxed-simd.wasm: answered 404',
    INLINE,
    'createRuntime({ wasm })',
  ]),
  refused('a page in place of the kernels', { answer: forFiles(WASM, PAGE) }, [
    'build/relaxed-simd.wasm are no WebAssembly but an HTML page',
    INLINE,
  ]),
  refused('a policy without WebAssembly', policy("script-src 'self' 'unsafe-inline'"), [
    'Content-Security-Policy',
    "add 'wasm-unsafe-eval' to its script-src",
  ]),
  refused('a policy without fetch', policy("connect-src 'none'"), [
    'could not be read from ',
    'build/relaxed-simd.wasm: ',
    'connect-src of a Content-Security-Policy',
    INLINE,
  ]),
  refused('a page that went offline', { answer: forFiles(WASM, 'none') }, [
    'could not be read from ',
    'build/relaxed-simd.wasm: ',
    '(offline, ',
    INLINE,
  ]),
  oneThread('the script is missing, its text is not', { answer: forFiles('/dist/worker.js', MISSING) }, null),
  oneThread(
    'the script is missing, and a policy forbids its text',
    { ...policy("worker-src 'self'"), answer: forFiles('/dist/worker.js', MISSING) },
    ['dist/worker.js', 'did not load', 'worker-src'],
  ),
  oneThread('a page without headers', { headers: {} }, [
    'not cross-origin isolated',
    'Cross-Origin-Opener-Policy: same-origin',
    'Cross-Origin-Embedder-Policy: require-corp',
  ]),
];
