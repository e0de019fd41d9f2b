/** The text of `dist/worker.js`, for places where the file is not found. The build writes it here; run from sources there is the file. */
export const WORKER_TEXT: string = '';
