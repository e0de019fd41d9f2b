/** Loading what is no model: refused by an error that names file and field, with nothing left in memory. */
import { expect } from 'vitest';
import { FormatError, type Runtime } from '../../src/index.js';
import { type LoadModelOptions, loadModel, type ModelInput } from '../../src/models/index.js';

/** Loads and expects an error whose message has all of the words; memory is as before. */
export async function expectRefused(
  rt: Runtime,
  source: ModelInput,
  words: readonly string[],
  kind: new (...args: never[]) => Error = FormatError,
  options: LoadModelOptions = {},
): Promise<void> {
  const { held, blocks, tensors } = rt.memory();
  const { layers, draws } = rt.engine;
  const error = await loadModel(rt, source, options).then(
    () => new Error('it was loaded'),
    (one: unknown) => one,
  );
  expect(error).toBeInstanceOf(kind);
  const { message } = error as Error;
  expect(message).toMatch(/^loadModel/);
  for (const word of words) expect(message).toContain(word);
  expect(rt.memory()).toMatchObject({ held, blocks, tensors });
  expect([rt.engine.layers, rt.engine.draws]).toEqual([layers, draws]);
}
