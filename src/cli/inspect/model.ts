/** What a model's file or folder holds, as JSON or as a table: architecture, sizes, types, tokenizer, bytes. Its weights are not read. */
import { readdir, stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import Table from 'cli-table3';
import { openGgufAs } from '../../formats/gguf-file.js';
import type { ModelConfig } from '../../models/config.js';
import { plannedBytes, planTensors } from '../../models/plan.js';
import type { ModelSource, StoredTensor } from '../../models/source/model-source.js';
import { openModel } from '../../models/source/open-model.js';
import { textOf } from '../../models/text/of-source.js';
import { sizeOf } from '../../values/dtypes.js';
import { FormatError, printable } from '../../values/format-error.js';

/** Tensors of one type. */
interface TypeReport {
  readonly type: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

export interface ModelReport {
  readonly kind: 'model';
  readonly format: 'gguf' | 'transformers';
  readonly config: ModelConfig;
  readonly parameters: number;
  /** Bytes of the weights in the files. */
  readonly bytes: number;
  readonly types: readonly TypeReport[];
  /** Bytes that `loadModel` takes, by its option `weights`; a cache comes to it, so many bytes a token. */
  readonly memory: { readonly stored: number; readonly f32: number; readonly cacheOfToken: number };
  readonly tokenizer: {
    readonly name: string;
    readonly tokens: number | null;
    readonly fault: string | null;
  } | null;
  readonly chatTemplate: boolean;
  readonly stopIds: readonly number[];
}

/** Whether a path names a model and no adapter: a GGUF file that does not say it is one, a folder with a config.json and no adapter. */
export async function isModel(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null) return false;
  if (found.isDirectory()) {
    const names = await readdir(path);
    return names.includes('config.json') && !names.some((name) => name.startsWith('adapter'));
  }
  if (!path.toLowerCase().endsWith('.gguf')) return false;
  try {
    const { metadata } = await openGgufAs(path, pathToFileURL(path));
    return metadata.get('general.type') !== 'adapter' && !metadata.has('adapter.type');
  } catch (error) {
    // What is wrong with the file is said by who reads it: of adapters only in GGUF has that name.
    if (error instanceof FormatError) return true;
    throw error;
  }
}

/** @throws FormatError for a model that `loadModel` would refuse */
export async function modelReport(path: string): Promise<ModelReport> {
  try {
    return await reportOf(await openModel('inspect', path));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(error.message.replace(/^inspect: /, ''), { cause: error });
  }
}

async function reportOf(source: ModelSource): Promise<ModelReport> {
  const { config, tensors, metadata, texts } = source;
  const stored = planTensors(source, 'stored');
  const unique = [...stored.values()].map((planned) => planned.stored);
  const name =
    metadata === null
      ? texts.has('tokenizer.json') && 'tokenizer.json'
      : metadata.has('tokenizer.ggml.model') &&
        [metadata.get('tokenizer.ggml.model'), metadata.get('tokenizer.ggml.pre')]
          .filter((part) => typeof part === 'string')
          .join(', ');
  const text = await textOf(source.where, source, undefined).catch((error: unknown) => {
    if (!(error instanceof FormatError)) throw error;
    return error.message;
  });
  const usable = typeof text === 'string' ? null : text;
  return {
    ...{ kind: 'model', format: metadata === null ? 'transformers' : 'gguf', config },
    parameters: unique.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    bytes: unique.reduce((sum, { begin, end }) => sum + end - begin, 0),
    types: typesOf([...tensors.values()]),
    memory: {
      stored: plannedBytes(stored),
      f32: plannedBytes(planTensors(source, 'f32')),
      cacheOfToken: 8 * config.numHiddenLayers * config.numKeyValueHeads * config.headDim,
    },
    tokenizer:
      name === false
        ? null
        : { name, tokens: usable?.tokenizer?.size ?? null, fault: typeof text === 'string' ? text : null },
    chatTemplate: (usable?.chat ?? null) !== null,
    stopIds: usable?.stopIds ?? config.eosTokenIds,
  };
}

function typesOf(tensors: readonly StoredTensor[]): TypeReport[] {
  const names = [...new Set(tensors.map(({ type }) => type))];
  return names.map((type) => {
    const own = tensors.filter((tensor) => tensor.type === type);
    return {
      ...{ type, tensors: own.length },
      parameters: own.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
      bytes: own.reduce((sum, { begin, end }) => sum + end - begin, 0),
    };
  });
}

export function modelTable(report: ModelReport): string {
  const { config, parameters, bytes, types, memory, tokenizer } = report;
  const table = new Table({
    head: ['type', 'tensors', 'parameters', 'bytes'],
    style: { head: [], border: [] },
  });
  for (const { type, tensors, parameters: own, bytes: taken } of types)
    table.push([type, String(tensors), String(own), String(taken)]);
  const kind = report.format === 'gguf' ? 'GGUF file' : 'folder of transformers';
  const lines = [
    `${config.modelType} model, ${kind}, ${parameters} parameters, ${bytes} bytes of weights`,
    sizesLine(config),
    attentionLine(config),
    table.toString(),
    `in memory: ${memory.stored} bytes as stored, ${memory.f32} as f32; a cache takes ${memory.cacheOfToken} bytes a token`,
    tokenizer === null
      ? 'no tokenizer'
      : `tokenizer ${printable(tokenizer.name)}${tokenizer.tokens === null ? '' : `, ${tokenizer.tokens} tokens`}${tokenizer.fault === null ? '' : `: ${printable(tokenizer.fault)}`}`,
    `${report.chatTemplate ? 'a' : 'no'} chat template; ends at ${report.stopIds.join(', ') || 'no token'}`,
  ];
  return lines.join('\n');
}

function sizesLine(config: ModelConfig): string {
  const head = config.tieWordEmbeddings ? 'head tied' : 'head of its own';
  return `${config.numHiddenLayers} blocks, ${config.hiddenSize} wide, ${config.intermediateSize} within; vocabulary ${config.vocabSize}, ${head}; length ${config.maxPositionEmbeddings}`;
}

function attentionLine(config: ModelConfig): string {
  const { numAttentionHeads, numKeyValueHeads, headDim, rope, windows } = config;
  const window = windows.find((one) => one !== null);
  const extras = [
    config.qkvBias || config.outBias || config.mlpBias ? 'with biases' : 'no biases',
    config.qkNorm ? 'norms of queries and keys' : '',
    window == null ? '' : `a window of ${window}`,
    rope.factors === null ? '' : 'scaled positions',
  ].filter((part) => part !== '');
  return `${numAttentionHeads} heads of ${headDim}, ${numKeyValueHeads} of keys and values; rotary base ${rope.theta}; ${extras.join(', ')}`;
}
