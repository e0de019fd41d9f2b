/**
 * The page of the suites starts the worker that runs them, as users are told to train: there the calling thread may sleep until the
 * others are done, and a runtime of several threads computes as it does in Node, while a page's main thread would have to spin.
 */
new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
