/** Vite's own server sends the headers that isolate the page, so that threads have shared memory. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default { base: './', server: { headers }, preview: { headers }, worker: { format: 'es' } };
