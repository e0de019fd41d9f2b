/** Goes on in a worker with the job whose database the page names, and posts what came out. */
import { trainJob } from './trainer-job.js';

globalThis.onmessage = async ({ data }: MessageEvent<string>) => {
  globalThis.postMessage(await trainJob(data));
};
