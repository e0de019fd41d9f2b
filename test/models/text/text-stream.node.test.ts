/** Text out of ids as they come: nothing is lost, doubled or cut inside of a character. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TextStream } from '../../../src/models/text/text-stream.js';
import { TextTokenizer } from '../../../src/models/text/text-tokenizer.js';
import { TOKENIZERS } from '../../golden-support/random-texts.js';
import { smallHeader } from '../../support/small-tokenizer.js';

const tokenizer = TextTokenizer.fromGguf(smallHeader('smollm'));
const BYTES_AND_FEW = 280;

/** Bytes by fallback tokens, words with a leading mark: the form of SentencePiece. */
const pieces = TextTokenizer.fromJson(
  JSON.stringify({
    model: {
      ...{ type: 'BPE', byte_fallback: true, merges: [] },
      vocab: Object.fromEntries([
        ...Array.from({ length: 256 }, (_, i) => [`<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`, i]),
        ...['▁a', 'b', '▁'].map((token, i) => [token, 256 + i]),
      ]),
    },
    ...{ added_tokens: [], normalizer: null, post_processor: null, pre_tokenizer: null },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
  }),
);

function parts(of: TextTokenizer, ids: readonly number[]): string[] {
  const stream = new TextStream(of);
  return [...ids.map((id) => stream.push(id)), stream.flush()];
}

test('parts of any ids come to the text of all of them', () => {
  const id = fc.oneof(fc.nat(BYTES_AND_FEW), fc.nat(tokenizer.size - 1));
  fc.assert(
    fc.property(fc.array(id, { minLength: 1, maxLength: 60 }), (ids) => {
      expect(parts(tokenizer, ids).join('')).toBe(tokenizer.decode(ids));
    }),
    { numRuns: 500 },
  );
});

test('parts of texts have no broken characters, in either form of tokenizer', () => {
  const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(texts, (text) => {
      const whole = text.replaceAll('\ufffd', '').replaceAll(/<\|\w+\|>/g, '');
      const ids = tokenizer.encode(whole);
      const found = parts(tokenizer, ids);
      expect(found.join('')).toBe(whole);
      const bytes = [...new TextEncoder().encode(whole)];
      expect(parts(pieces, [257, ...bytes, 256]).join('')).toBe(`b${whole} a`);
      for (const part of [...found, ...parts(pieces, [257, ...bytes])]) expect(part).not.toContain('\ufffd');
    }),
    { numRuns: 300 },
  );
});

test('a character comes with its last byte, and what is left comes at the end', () => {
  const bytes = [...new TextEncoder().encode('é日🙂')];
  const ids = bytes.map((byte) => pieces.idOf(`<0x${byte.toString(16).toUpperCase()}>`)!);
  expect(parts(pieces, ids)).toEqual(['', 'é', '', '', '日', '', '', '', '🙂', '']);
  expect(parts(pieces, [257, ids[2]!])).toEqual(['b', '', '\ufffd']);
});

test('an id beyond the tokenizer has no text', () => {
  expect(parts(tokenizer, [...tokenizer.encode('the'), 5000]).join('')).toBe('the');
  expect(TOKENIZERS.tokens.length).toBeLessThan(5000);
});
