/** Generation over a tiny model: the tokens of whole forwards, where it ends, what it leaves behind. */
import { afterAll, describe, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.js';
import { type CausalLM, type GenerateOptions, generate, type LanguageModel } from '../../src/models/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import { loadTiny } from '../support/tiny-golden.js';

const PROMPT = [5, 17, 42, 99, 3];

async function all(model: CausalLM, prompt: ArrayLike<number>, options?: GenerateOptions): Promise<number[]> {
  const found: number[] = [];
  for await (const id of generate(model, prompt, options)) found.push(id);
  return found;
}

/** The likeliest token after all before it, by whole forwards. */
function byForwards({ model }: LanguageModel, prompt: readonly number[], count: number): number[] {
  const rt = model.runtime;
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const last = rt.scope(() =>
      model
        .forward(rt.tensor(Int32Array.from(ids), [1, ids.length]))
        .toArray()
        .slice(-101),
    );
    ids.push(last.indexOf(Math.max(...last)));
  }
  return ids.slice(prompt.length);
}

describeRuntimes('generation', (rt) => {
  test('without temperature writes the likeliest token of whole forwards', async () => {
    using lm = await loadTiny(rt());
    expect(await all(lm.model, PROMPT, { maxTokens: 20 })).toEqual(byForwards(lm, PROMPT, 20));
  });

  test('a seed decides what is drawn', async () => {
    using lm = await loadTiny(rt());
    const draw = (seed: number) => all(lm.model, PROMPT, { maxTokens: 20, temperature: 1, seed });
    const first = await draw(1);
    expect(await draw(1)).toEqual(first);
    expect(await draw(2)).not.toEqual(first);
  });
});

describe('generation', async () => {
  const rt = await createRuntime({ threads: 1 });
  const lm = await loadTiny(rt, 600);
  const { model } = lm;
  afterAll(() => rt.dispose());

  test('reads a long prompt in pieces, to the same tokens', async () => {
    const prompt = Array.from({ length: 530 }, (_, i) => (i * 31) % 101);
    expect(await all(model, prompt, { maxTokens: 3 })).toEqual(byForwards(lm, prompt, 3));
  });

  test('takes ids as an Int32Array, and does not see later changes of it', async () => {
    const ids = Int32Array.from(PROMPT);
    const tokens = generate(model, ids, { maxTokens: 4 });
    ids.fill(0);
    const found: number[] = [];
    for await (const id of tokens) found.push(id);
    expect(found).toEqual(byForwards(lm, PROMPT, 4));
  });

  test('ends at a stop, which is not given, and at maxTokens', async () => {
    const tokens = byForwards(lm, PROMPT, 12);
    const stop = tokens[7]!;
    const until = tokens.indexOf(stop);
    expect(await all(model, PROMPT, { maxTokens: 12, stopIds: [stop, 5000] })).toEqual(
      tokens.slice(0, until),
    );
    expect(await all(model, PROMPT, { maxTokens: 1 })).toEqual(tokens.slice(0, 1));
  });

  test('without maxTokens writes 256, or what the length leaves', async () => {
    expect(await all(model, PROMPT)).toHaveLength(256);
    expect(await all(model, Array(598).fill(7))).toHaveLength(2);
  });

  test('memory is constant over 200 tokens, and as before at the end', async () => {
    await all(model, PROMPT, { maxTokens: 200 });
    const before = rt.memory();
    const held: number[] = [];
    for await (const _ of generate(model, PROMPT, { maxTokens: 200 })) held.push(rt.memory().held);
    expect(new Set(held).size).toBe(1);
    expect(held).toHaveLength(200);
    // Keys and values of three layers, two heads of 12, each for prompt and maxTokens.
    const cache = 3 * 2 * 205 * 2 * 12 * 4;
    expect(held[0]! - before.held).toBeGreaterThanOrEqual(cache);
    expect(held[0]! - before.held).toBeLessThan(1.1 * cache);
    expect(rt.memory()).toEqual(before);
  });

  test('leaves nothing behind when a loop is left, or never begun', async () => {
    const before = rt.memory();
    for await (const _ of generate(model, PROMPT)) break;
    generate(model, PROMPT);
    expect(rt.memory()).toEqual(before);
  });

  test('ends with the reason of a signal, also one given by an event between two tokens', async () => {
    const before = rt.memory();
    const reason = new Error('enough');
    await expect(all(model, PROMPT, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const found: number[] = [];
    const run = async () => {
      for await (const id of generate(model, PROMPT, { maxTokens: 200, signal: controller.signal })) {
        found.push(id);
        if (found.length === 3) setImmediate(() => controller.abort(reason));
      }
    };
    await expect(run()).rejects.toBe(reason);
    expect(found.length).toBeLessThan(10);
    expect(rt.memory()).toEqual(before);
  });

  test('two at once do not disturb each other', async () => {
    const other = [9, 8, 7];
    const [a, b] = await Promise.all([
      all(model, PROMPT, { maxTokens: 12 }),
      all(model, other, { maxTokens: 12 }),
    ]);
    expect(a).toEqual(byForwards(lm, PROMPT, 12));
    expect(b).toEqual(byForwards(lm, other, 12));
  });

  describe('refused at once is', () => {
    const bad = (value: unknown): never => value as never;
    const options = (given: unknown) => () => generate(model, PROMPT, bad(given));
    test.each([
      ['an empty prompt', () => generate(model, []), 'generate: prompt has 0 tokens, expected 1 to 599'],
      [
        'a prompt too long',
        () => generate(model, Array(600).fill(1)),
        'generate: prompt has 600 tokens, expected 1 to 599',
      ],
      [
        'an id out of range',
        () => generate(model, [1, 101]),
        'generate: prompt: id 1 is 101, expected 0 to 100',
      ],
      ['an id below 0', () => generate(model, [-1]), 'generate: prompt: id 0 is -1, expected 0 to 100'],
      ['half an id', () => generate(model, [0.5]), 'generate: prompt: id 0 is 0.5, expected 0 to 100'],
      [
        'more tokens than the length leaves',
        options({ maxTokens: 596 }),
        'expected an integer from 1 to 595',
      ],
      ['no token', options({ maxTokens: 0 }), 'is 0, expected an integer from 1 to 595'],
      ['a stop below 0', options({ stopIds: [-1] }), 'generate: stopIds: id 0 is -1'],
    ])('%s', (_, call, message) => {
      expect(call).toThrow(RangeError);
      expect(call).toThrow(message);
    });

    test.each([
      ['no model', () => generate(bad(lm), PROMPT), 'generate: model is Object, expected a CausalLM'],
      ['a text', () => generate(model, bad('Hi')), "generate: prompt is 'Hi', expected token ids"],
      ['a text as id', () => generate(model, bad(['1'])), "generate: prompt: id 0 is '1', expected a number"],
      ['an unknown option', options({ max: 1 }), "generate: unknown option 'max'"],
      [
        'a signal that is none',
        options({ signal: {} }),
        'generate: signal is Object, expected an AbortSignal',
      ],
    ])('%s', (_, call, message) => {
      expect(call).toThrow(TypeError);
      expect(call).toThrow(message);
    });
  });
});
