/** Folders that are no model, or one that is not understood: each refused by an error that names file and field, with nothing left in memory. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/formats/index.js';
import { createRuntime, type Runtime } from '../../src/index.js';
import { loadModel } from '../../src/models/index.js';
import { expectRefused } from '../support/refused-load.js';
import {
  TINY_CONFIG,
  type TinyChanges,
  type TinyTensors,
  tinyFolder,
  tinyTensors,
} from '../support/tiny-model.js';

let rt: Runtime;
beforeAll(async () => {
  rt = await createRuntime({ threads: 1 });
});
afterAll(() => rt.dispose());

const CONFIG = 'config.json';

test.each<[string, TinyChanges['config'], readonly string[]]>([
  ['another kind', { model_type: 'gpt2' }, ['model_type', "'gpt2'", 'qwen2']],
  ['no kind', { model_type: undefined }, ['model_type is missing']],
  ['experts', { num_local_experts: 8 }, ['num_local_experts', '8']],
  ['a soft cap', { final_logit_softcapping: 30 }, ['final_logit_softcapping', '30']],
  ['a scale of logits', { logits_scaling: 8 }, ['logits_scaling', '8']],
  ['multipliers', { residual_multiplier: 0.2 }, ['residual_multiplier', '0.2']],
  ['a part of the heads turned', { partial_rotary_factor: 0.5 }, ['partial_rotary_factor', '0.5']],
  ['weights that another program packed', { quantization_config: { bits: 4 } }, ['quantization_config']],
  ['another activation', { hidden_act: 'gelu' }, ['hidden_act', "'gelu'"]],
  ['yarn', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, ['rope_scaling.rope_type', "'yarn'"]],
  [
    'yarn, in the newer field',
    { rope_parameters: { rope_type: 'yarn', factor: 4 } },
    ['rope_parameters.rope_type'],
  ],
  [
    'a scaling by next to nothing',
    { rope_scaling: { type: 'linear', factor: 1e-30 } },
    ['rotary positions', '0.0078125'],
  ],
  [
    'a scaling that is none',
    { rope_scaling: { rope_type: 'llama3', factor: 1e300, low_freq_factor: 4, high_freq_factor: 4 } },
    ['rotary positions'],
  ],
  ['more blocks than anybody has', { num_hidden_layers: 1e9 }, ['num_hidden_layers', '1 to 10000']],
  ['a head too large', { head_dim: 2 ** 30 }, ['head_dim', '1 to 65536']],
  ['a scaling without its factor', { rope_scaling: { type: 'linear' } }, ['rope_scaling.factor', 'missing']],
  ['heads that do not divide', { num_key_value_heads: 3 }, ['num_key_value_heads is 3', '4']],
  ['heads of no whole size', { num_attention_heads: 5, num_key_value_heads: 5 }, ['head_dim', '6.4']],
  ['an odd size of heads', { head_dim: 7 }, ['head_dim is 7', 'even']],
  ['a base below one', { rope_theta: 0.5 }, ['rope_theta is 0.5', '1 at least']],
  ['a size that is none', { hidden_size: -32 }, ['hidden_size', '-32']],
  ['a size that is a text', { vocab_size: '40' }, ['vocab_size', "'40'"]],
  ['a flag that is none', { tie_word_embeddings: 'yes' }, ['tie_word_embeddings', "'yes'"]],
  [
    'another hidden size than the tensors',
    { hidden_size: 64 },
    ["'model.embed_tokens.weight'", '[40, 32]', '[40, 64]'],
  ],
  ['a head that is not there', { tie_word_embeddings: false }, ["'lm_head.weight'"]],
  ['biases that are not there', { attention_bias: true }, ["'model.layers.0.self_attn.q_proj.bias'"]],
  ['an id outside', { eos_token_id: [2, 40] }, ['eos_token_id is 40', '40']],
  [
    'too few kinds of layers',
    { model_type: 'qwen2', layer_types: ['full_attention'] },
    ['layer_types', '1', '2'],
  ],
  [
    'a kind of layers that is not known',
    { layer_types: ['full_attention', 'mamba'] },
    ['layer_types[1]', "'mamba'"],
  ],
])('config.json: %s', async (_, config, words) => {
  const files = tinyFolder(config === undefined ? {} : { config });
  const names = words.some((word) => /tensor|weight|bias'/.test(word)) ? [] : [CONFIG];
  await expectRefused(rt, files, [...names, ...words]);
});

test('config.json: no JSON, no object, not there', async () => {
  for (const [text, word] of [
    ['{', 'is no JSON'],
    ['[1]', 'is no object'],
    ['null', 'is no object'],
  ] as const)
    await expectRefused(rt, tinyFolder().set(CONFIG, new Blob([text])), [CONFIG, word]);
  const files = tinyFolder();
  files.delete(CONFIG);
  await expectRefused(rt, files, ['there is no config.json', 'model.safetensors']);
});

const WEIGHTS = 'model.safetensors';

test.each<[string, (all: TinyTensors) => void, readonly string[]]>([
  ['a missing tensor', (all) => all.delete('model.norm.weight'), ["there is no tensor 'model.norm.weight'"]],
  [
    'an unread tensor',
    (all) => all.set('model.layers.2.extra', all.get('model.norm.weight')!),
    ['model.layers.2.extra'],
  ],
  [
    'a misshapen tensor',
    (all) => all.set('model.norm.weight', { shape: [2, 16], data: new Float32Array(32) }),
    [WEIGHTS, "'model.norm.weight'", '[2, 16]', '[32]'],
  ],
  [
    'a weight that is not finite',
    (all) => {
      all.get('model.layers.1.mlp.up_proj.weight')!.data[77] = Number.POSITIVE_INFINITY;
    },
    [WEIGHTS, "'model.layers.1.mlp.up_proj.weight'", 'not finite'],
  ],
])('safetensors: %s', async (_, tensors, words) => {
  await expectRefused(rt, tinyFolder({ tensors }), words);
});

test('safetensors: integers, a cut file, no file', async () => {
  const tensors = [...tinyTensors()].map(
    ([name, { shape, data }]) =>
      [name, { shape, data: name === 'model.norm.weight' ? Int32Array.from(data) : data }] as const,
  );
  await expectRefused(rt, tinyFolder().set(WEIGHTS, new Blob([writeSafetensors(tensors)])), [
    WEIGHTS,
    'I32',
    'F16',
  ]);
  const whole = tinyFolder().get(WEIGHTS)!;
  for (const n of [0, 7, 100, whole.size - 1])
    await expectRefused(rt, tinyFolder().set(WEIGHTS, whole.slice(0, n)), [WEIGHTS]);
  const files = tinyFolder();
  files.delete(WEIGHTS);
  await expectRefused(rt, files, [`there is no ${WEIGHTS}`, CONFIG]);
});

/** The model in two shards with an index. */
function sharded(change: (map: Record<string, unknown>) => void = () => {}): Map<string, Blob> {
  const [first, second] = [tinyTensors(), tinyTensors()];
  const names = [...first.keys()];
  const map: Record<string, unknown> = {};
  names.forEach((name, i) => {
    (i % 2 === 0 ? second : first).delete(name);
    map[name] = i % 2 === 0 ? 'a.safetensors' : 'b.safetensors';
  });
  change(map);
  return new Map([
    [CONFIG, new Blob([JSON.stringify(TINY_CONFIG)])],
    ['a.safetensors', new Blob([writeSafetensors(first)])],
    ['b.safetensors', new Blob([writeSafetensors(second)])],
    [INDEX, new Blob([JSON.stringify({ weight_map: map })])],
  ]);
}

const INDEX = 'model.safetensors.index.json';
const NORM = 'model.norm.weight';

test('shards: together they are the model', async () => {
  using loaded = await loadModel(rt, sharded());
  expect(loaded.model.namedParameters()).toHaveLength(20);
});

test.each<[string, (map: Record<string, unknown>) => void, readonly string[]]>([
  [
    'a shard that is not there',
    (map) => Object.assign(map, { [NORM]: 'c.safetensors' }),
    ['there is no c.safetensors'],
  ],
  [
    'a shard outside of the folder',
    (map) => Object.assign(map, { [NORM]: '../a.safetensors' }),
    [INDEX, '../a.safetensors', NORM],
  ],
  [
    'an absolute path',
    (map) => Object.assign(map, { [NORM]: '/etc/a.safetensors' }),
    [INDEX, '/etc/a.safetensors'],
  ],
  ['a drive', (map) => Object.assign(map, { [NORM]: 'C:a.safetensors' }), [INDEX, 'C:a.safetensors']],
  ['no name', (map) => Object.assign(map, { [NORM]: 7 }), [INDEX, NORM, '7']],
  ['a tensor in the other shard', (map) => Object.assign(map, { [NORM]: 'a.safetensors' }), [NORM]],
  [
    'a tensor that is in no shard',
    (map) => Object.assign(map, { 'lm_head.weight': 'a.safetensors' }),
    [INDEX, 'lm_head.weight', 'a.safetensors'],
  ],
  ['a tensor that the index leaves out', (map) => delete map[NORM], [NORM]],
])('shards: %s', async (_, change, words) => {
  await expectRefused(rt, sharded(change), words);
});

test('shards: an index that is none', async () => {
  for (const text of ['{}', '{"weight_map": []}', '{"weight_map": null}'])
    await expectRefused(rt, sharded().set(INDEX, new Blob([text])), [INDEX, 'weight_map']);
});
