/** The page: starts and stops the worker, shows how far it is, and counts its own frames, which go on meanwhile. */
import type { FromWorker, ToWorker } from './messages.js';

const STEPS = 2000;
const PER_DIGIT = 20;

const worker = new Worker(new URL('./train-worker.ts', import.meta.url), { type: 'module' });
const tell = (message: ToWorker, move: Transferable[] = []) => worker.postMessage(message, move);

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** Ten random images and noisy copies of each: something to learn that needs no download. */
function makeImages(): { images: Float32Array<ArrayBuffer>; labels: Int32Array<ArrayBuffer> } {
  const digits = Float32Array.from({ length: 10 * 784 }, () => Math.random());
  const labels = Int32Array.from({ length: 10 * PER_DIGIT }, (_, i) => i % 10);
  const images = new Float32Array(labels.length * 784);
  for (let i = 0; i < images.length; i++) {
    const image = Math.floor(i / 784);
    images[i] = 0.5 * digits[labels[image]! * 784 + (i % 784)]! + 0.5 * Math.random();
  }
  return { images, labels };
}

element('train').onclick = () => {
  const { images, labels } = makeImages();
  tell({ images, labels, steps: STEPS }, [images.buffer, labels.buffer]);
};
element('stop').onclick = () => tell({ stop: true });

worker.onerror = ({ message }) => {
  element('progress').textContent = `the worker failed: ${message}`;
};

worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
  if ('threads' in data) element('threads').textContent = `threads: ${data.threads} (${data.threadsReason})`;
  else if ('step' in data)
    element('progress').textContent = `step ${data.step} of ${STEPS}, loss ${data.loss.toFixed(4)}`;
  else {
    for (const [name, bytes] of Object.entries(data.files)) {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([bytes]));
      link.download = name;
      link.textContent = `${name}, ${bytes.length} bytes `;
      element('files').append(link);
    }
  }
};

let frames = 0;
function frame(): void {
  element('frames').textContent = `frames: ${++frames}`;
  requestAnimationFrame(frame);
}
frame();
