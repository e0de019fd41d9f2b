/** Answers in a worker of the page with a model out of a Blob, and posts the text part by part, then null. */
import { createRuntime } from 'lora-wasm';
import { generateText, loadModel } from 'lora-wasm/models';

async function answer(file: Blob): Promise<void> {
  const rt = await createRuntime();
  const lm = await loadModel(rt, file);
  const messages = [{ role: 'user', content: 'What colour is the sky?' }];
  for await (const part of generateText(lm, messages, { maxTokens: 32 })) globalThis.postMessage(part);
  rt.dispose();
  globalThis.postMessage(null);
}

globalThis.onmessage = ({ data }: MessageEvent<Blob>) => {
  answer(data).catch(globalThis.reportError);
};
