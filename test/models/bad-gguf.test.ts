/** GGUF files that are no model, or one that is not understood: each refused by an error that names file and field, with nothing left in memory. */
import { afterAll, beforeAll, test } from 'vitest';
import { createRuntime, type Runtime } from '../../src/index.js';
import { expectRefused } from '../support/refused-load.js';
import { type StoredTiny, type TinyGgufChanges, tinyGguf } from '../support/tiny-model.js';

let rt: Runtime;
beforeAll(async () => {
  rt = await createRuntime({ threads: 1 });
});
afterAll(() => rt.dispose());

const NAME = 'tiny.gguf';
const file = (bytes: Uint8Array<ArrayBuffer>): File => new File([bytes], NAME);

const tensor = (stored: Map<string, StoredTiny>, label: string, change: Partial<StoredTiny>): void => {
  stored.set(label, { ...stored.get(label)!, ...change });
};

/** A tensor of the model as blocks of 32 with a scale first, all the same. */
const blocks = (size: number, type: number, block: readonly number[]): Partial<StoredTiny> => ({
  type,
  bytes: Uint8Array.from({ length: (size / 32) * block.length }, (_, i) => block[i % block.length]!),
});

const Q = 'blk.1.attn_q.weight';
const EMBED = 'token_embd.weight';

test.each<[string, TinyGgufChanges, readonly string[]]>([
  [
    'another architecture',
    { metadata: { 'general.architecture': 'gpt2' } },
    ['general.architecture', "'gpt2'", 'llama'],
  ],
  ['an adapter', { metadata: { 'general.type': 'adapter' } }, ['general.type', "'adapter'"]],
  ['a part of a file', { metadata: { 'split.count': 3 } }, ['split.count', '3', 'one file']],
  ['experts', { metadata: { 'llama.expert_count': 8 } }, ['llama.expert_count', '8']],
  ['a scale of logits', { metadata: { 'llama.logit_scale': 0.5 } }, ['llama.logit_scale', '0.5']],
  [
    'a soft cap',
    { metadata: { 'llama.attn_logit_softcapping': 50 } },
    ['llama.attn_logit_softcapping', '50'],
  ],
  [
    'yarn',
    { metadata: { 'llama.rope.scaling.type': 'yarn' } },
    ['llama.rope.scaling.type', "'yarn'", "'linear'"],
  ],
  [
    'half-turned heads',
    { metadata: { 'llama.rope.dimension_count': 4 } },
    ['llama.rope.dimension_count', '4', '8'],
  ],
  [
    'heads that do not divide',
    { metadata: { 'llama.attention.head_count_kv': 3 } },
    ['num_key_value_heads is 3', '4'],
  ],
  [
    'heads of no whole size',
    { metadata: { 'llama.attention.head_count': 5 } },
    ['llama.attention.key_length', '6.4'],
  ],
  [
    'more blocks than anybody has',
    { metadata: { 'llama.block_count': 1e9 } },
    ['llama.block_count', '1 to 10000'],
  ],
  ['no layers', { metadata: { 'llama.block_count': 0 } }, ['llama.block_count', '0']],
  ['too many layers', { metadata: { 'llama.block_count': 3 } }, ["'blk.2.attn_q.weight'"]],
  [
    'a text for a number',
    { metadata: { 'llama.embedding_length': 'many' } },
    ['llama.embedding_length', "'many'"],
  ],
  ['an id outside', { metadata: { 'tokenizer.ggml.eos_token_id': 40 } }, ['eos_token_id is 40', '40']],
  ['a missing tensor', { tensors: (all) => all.delete(Q) }, [`'${Q}'`]],
  ['no embedding', { tensors: (all) => all.delete(EMBED) }, [EMBED]],
  [
    'a misshapen tensor',
    { tensors: (all) => tensor(all, Q, { sizes: [16, 64] }) },
    [Q, '[64, 16]', '[32, 32]'],
  ],
  [
    'an unread tensor',
    { tensors: (all) => all.set('blk.0.extra.weight', all.get(Q)!) },
    ['blk.0.extra.weight'],
  ],
  [
    'a layer too many',
    { tensors: (all) => all.set('blk.2.attn_q.weight', all.get(Q)!) },
    ['blk.2.attn_q.weight', 'belong to nothing'],
  ],
  ['a type that nobody knows', { tensors: (all) => tensor(all, Q, { type: 77 }) }, [Q, '77']],
  [
    'a type that is not read',
    { tensors: (all) => tensor(all, Q, { type: 24, bytes: new Uint8Array(1024) }) },
    [Q, 'i8', 'q8_0'],
  ],
  [
    'a scale that is not finite',
    { tensors: (all) => tensor(all, EMBED, blocks(1280, 8, [0, 0x7c, ...Array(32).fill(1)])) },
    [EMBED, 'not finite'],
  ],
  [
    'a minimum that is not finite',
    { tensors: (all) => tensor(all, Q, blocks(1024, 3, [0, 0x3c, 0, 0x7e, ...Array(16).fill(1)])) },
    [Q, 'not finite'],
  ],
  [
    'a weight that is not finite',
    {
      tensors: (all) =>
        tensor(all, Q, { bytes: new Uint8Array(new Float32Array(1024).fill(Number.NaN).buffer) }),
    },
    [Q, 'not finite'],
  ],
])('GGUF: %s', async (_, changes, words) => {
  await expectRefused(rt, file(tinyGguf(changes)), [NAME, ...words]);
});

test('GGUF: a file that is cut in its header, in a tensor, inside a block', async () => {
  const quantised = tinyGguf({
    tensors: (all) => tensor(all, EMBED, blocks(1280, 8, [0, 0x3c, ...Array(32).fill(1)])),
  });
  for (const bytes of [tinyGguf(), quantised])
    for (const n of [0, 3, 30, 500, bytes.length - 40, bytes.length - 4000, bytes.length - 10_001])
      await expectRefused(rt, file(bytes.slice(0, n)), [NAME]);
});

test('GGUF: a tensor that stands there twice', async () => {
  const bytes = tinyGguf({ tensors: (all) => all.set('blk.1.attn_x.weight', all.get(Q)!) });
  // The one name becomes the other.
  const text = new TextDecoder('latin1').decode(bytes);
  const at = text.indexOf('blk.1.attn_x.weight');
  bytes.set(new TextEncoder().encode(Q), at);
  await expectRefused(rt, file(bytes), [NAME, `'${Q}' appears twice`]);
});

test('a file that is no GGUF at all', async () => {
  await expectRefused(rt, file(new TextEncoder().encode('<!doctype html><html></html>')), [
    NAME,
    'does not begin with GGUF',
  ]);
});
