/** `lora-wasm merge`: a model with adapters in its weights, as a folder that transformers loads, and this package. */
import { join } from 'node:path';
import { LoraLayer } from '../../lora/layer/lora-layer.js';
import type { LoraModel } from '../../lora/lora-model.js';
import type { CausalLM } from '../../models/causal-lm.js';
import type { LanguageModel } from '../../models/load-model.js';
import { tensorsOf } from '../../models/plan.js';
import type { ModelSource } from '../../models/source/model-source.js';
import { openModel } from '../../models/source/open-model.js';
import type { Module } from '../../nn/module.js';
import { writeAtomic } from '../../node.js';
import { makeFolder } from '../../platform/make-folder.js';
import { Parameter } from '../../tensor/parameter.js';
import { FormatError } from '../../values/format-error.js';
import { checkOut } from '../files.js';
import type { ModelFlags } from '../model-options.js';
import { UserError } from '../name-errors.js';
import { withModel } from '../run-model.js';
import { configJson } from './config.js';
import { type MergedTensor, type MergeType, writeShards } from './shards.js';
import { textFiles } from './text.js';

/** What the options give. */
export interface MergeFlags extends ModelFlags {
  readonly out: string;
  readonly dtype?: MergeType;
  readonly dequantise?: boolean;
  readonly shardSize: number;
}

const PLAIN: ReadonlySet<string> = new Set(['f32', 'f16', 'bf16']);
const [EMBEDDING, HEAD] = ['model.embed_tokens', 'lm_head'] as const;

/** @throws UserError, Interrupted; errors of files, options and memory */
export async function mergeCommand(flags: MergeFlags): Promise<void> {
  const { out, model: path, cache, sha256 } = flags;
  await checkOut(out);
  if ((flags.adapter ?? []).length === 0) throw new UserError('there is no --adapter, expected one at least');
  const source = await openModel('merge', path, { cache, sha256 });
  const quantised = [...source.tensors.values()].some(({ type }) => !PLAIN.has(type));
  if (quantised && flags.dequantise !== true)
    throw new UserError(
      `${path}: the model is quantised, and what is merged into it is not; expected --dequantise, for a folder of float numbers`,
    );
  const dtype = flags.dtype ?? storedType(source);
  // Before the header's arrays are dropped: the tokenizer is made of them.
  const texts = textFiles(path, source);
  await makeFolder(out);
  await withModel(
    flags,
    async (lm, signal, lora) => {
      if (lora === null) throw new UserError('there is no --adapter, expected one at least');
      const tied = isTied(lm.model);
      const files = new Map([
        ['config.json', configJson(path, source, lm.stopIds, { dtype, tied })],
        ...texts,
      ]);
      const written = await writeShards(out, dtype, flags.shardSize * 1e6, tensors(lm, lora, tied), signal);
      // The config last: without it the folder is no model.
      for (const [name, text] of [...files].reverse())
        await writeAtomic(join(out, name), new TextEncoder().encode(text));
      const all = [...written, ...[...files.keys()].reverse()];
      process.stdout.write(
        flags.json
          ? `${JSON.stringify({ out, dtype, files: all })}\n`
          : all.map((name) => `wrote ${join(out, name)}\n`).join(''),
      );
    },
    { bare: true },
  );
}

/** The type of a model whose matrices all have one of 16 bits, else float32. */
function storedType({ tensors }: ModelSource): MergeType {
  const types = new Set(
    [...tensors.values()].filter(({ shape }) => shape.length > 1).map(({ type }) => type),
  );
  const [only] = types;
  return types.size === 1 && (only === 'f16' || only === 'bf16') ? only : 'f32';
}

/** Whether the head is the embedding still: not where an adapter changes one of them. */
function isTied(model: CausalLM): boolean {
  if (!model.config.tieWordEmbeddings) return false;
  const modules = new Map<string, Module>(model.namedModules());
  const [embedding, head] = [modules.get(EMBEDDING)!, modules.get(HEAD)!];
  if (embedding instanceof LoraLayer || head instanceof LoraLayer) return false;
  return parameterOf(embedding, 'weight') === parameterOf(head, 'weight');
}

/** Every tensor of the model with the adapters in it, one in memory at a time. */
function tensors({ model }: LanguageModel, lora: LoraModel<Module>, tied: boolean): MergedTensor[] {
  const modules = new Map<string, Module>(model.namedModules());
  const shapes = tensorsOf({ ...model.config, tieWordEmbeddings: tied });
  const found = [...shapes].map(([name, shape]): MergedTensor => {
    const at = name.lastIndexOf('.');
    const [path, part] = [name.slice(0, at), name.slice(at + 1)];
    const module = modules.get(path)!;
    const values = (): Float32Array =>
      module instanceof LoraLayer ? merged(module, part) : floats(parameterOf(module, part));
    return { name, shape, values };
  });
  // What an adapter brings that the model's configuration has no place for.
  for (const path of lora.report().wrapped) {
    const layer = modules.get(path);
    if (layer instanceof LoraLayer && layer.bias !== null && !shapes.has(`${path}.bias`))
      throw new UserError(
        `'${path}' has a bias by an adapter, and the model's configuration none, expected no such bias`,
      );
  }
  return found;
}

function merged(layer: LoraLayer, part: string): Float32Array {
  const active = layer.activeAdapters.length > 0 && layer.enabled;
  if (active) layer.merge(undefined, { quantised: 'dequantise' });
  try {
    return floats(part === 'weight' ? layer.weight : layer.bias!);
  } finally {
    if (active) layer.unmerge();
  }
}

function parameterOf(module: Module, part: string): Parameter {
  const found: unknown = Reflect.get(module, part);
  if (found instanceof Parameter) return found;
  throw new FormatError(`merge: a module has no ${part}, expected one`);
}

function floats(parameter: Parameter): Float32Array {
  return Float32Array.from(parameter.toArray());
}
