/** Right calls of the formats and stores, which need no object of a world. */
import {
  type AdapterBytes,
  writeGguf,
  writeKohya,
  writeLoralib,
  writeMlx,
  writePeft,
} from '../../../../src/formats/index.js';
import type { LoraFile } from '../../../../src/formats/lora-file.js';
import { files, type World } from '../world.js';
import { type Calls, options } from './options.js';

/** Those of the formats, which need no object of a world. */
export async function fileCalls(world: World, folder: string): Promise<Calls> {
  const own = files(world);
  const { file, base } = plainFile();
  const peft = { config: own['adapter_config.json'], weights: own['adapter_model.safetensors'] };
  const mlx = writeMlx(file);
  const gguf = (await writeGguf(file)).bytes;
  const tensors = [['a', { shape: [2], data: new Float32Array(2) }]];
  const write = { allowNonFinite: false };
  const input: AdapterBytes = { weights: writePeft(file)['adapter_model.safetensors'], config: peft.config };
  const convertible = { to: 'peft', base: null, dropUnsupported: true, force: false };
  return {
    convert: () => [[input, options(convertible)]],
    readAdapter: () => [[{ ...input, config: null }, options({ alpha: 4, base: null })]],
    detectFormat: () => [[input]],
    readPeft: () => [[{ ...peft, config: null }, options({ alpha: 4 })], [peft]],
    writePeft: () => [[file, options({ ...write })]],
    readMlx: () => [[{ config: mlx['adapter_config.json'], weights: mlx['adapters.safetensors'] }]],
    writeMlx: () => [[file, options({ ...write, tied: false })]],
    readKohya: () => [[writeKohya(file)]],
    writeKohya: () => [[file, options({ ...write })]],
    readLoralib: () => [[writeLoralib(file).weights, options({ alpha: 4 })]],
    writeLoralib: () => [[file, options({ ...write })]],
    readGguf: () => [[gguf, options({ base })]],
    writeGguf: () => [[file, options({ ...write, base })]],
    deltaWeight: () => [[file.modules[0]]],
    deltaNorm: () => [[file.modules[0]]],
    norm: () => [[file.modules[0]!.A]],
    dequantise: () => [['q8_0', new Uint8Array(34)]],
    quantise: () => [['q8_0', new Float32Array(32)]],
    parsePeftConfig: () => [[new TextDecoder().decode(peft.config)]],
    parseSafetensors: () => [[peft.weights]],
    openSafetensors: () => [[new Blob([peft.weights])]],
    writeSafetensors: () => [[tensors, options({ ...write, metadata: { format: 'pt' } })]],
    kohyaName: () => [['layers.0']],
    peftKey: () => [['layers.0', 'lora_A.weight', 'x.']],
    baseFromConfig: () => [['{"model_type": "llama", "num_attention_heads": 2}']],
    folderStore: () => [[`${folder}/checkpoints`, options({ keep: 2 })]],
    indexedDbStore: () => [['name', { keep: 2 }]],
    writeAtomic: () => [[`${folder}/bytes`, peft.weights]],
  };
}

/** An adapter of one layer as every format can hold it, and a model of GGUF. */
export function plainFile(): { file: LoraFile; base: object } {
  const array = (...shape: number[]) => ({
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5),
  });
  const module = {
    path: 'model.layers.0.mlp.up_proj',
    kind: 'linear' as const,
    A: array(2, 4),
    B: array(6, 2),
  };
  const file: LoraFile = {
    ...{ format: 'kohya', modules: [{ ...module, r: 2, alpha: 4, scale: 2 }], extras: [], config: null },
    warnings: [],
  };
  return { file, base: { architecture: 'llama', heads: 2, kvHeads: 2, tied: false } };
}
