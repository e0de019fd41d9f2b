/**
 * kohya's image LoRA files: `lora_unet_<path>` or `lora_te_<path>` with underscores, then `.lora_down.weight` (A),
 * `.lora_up.weight` (B) and `.alpha`. Underscores cannot be turned back into dots, so the name stands as the path.
 */

import { describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { checkWriteOptions, under } from './check.js';
import { checkLoraFile } from './check-file.js';
import { factorName, factorOf, MAGNITUDE_END } from './factor-names.js';
import { alphasBeside, FactorTable, withLayers } from './factors.js';
import { parseJson, showJson } from './json.js';
import { kohyaName } from './kohya-name.js';
import { checkHeld, type ExtraTensor, factorsOnly, type LoraFile, type TargetRules } from './lora-file.js';
import { extraTensor } from './peft-read.js';
import { type LoraWriteOptions, plainAlpha } from './peft-write.js';
import { readSafetensors } from './safetensors-read.js';
import { type WritableTensor, writeSafetensors } from './safetensors-write.js';
import { scaledB } from './scaled.js';
import { strengthOf } from './strength.js';

/** Linear layers and ungrouped convolutions. */
export const KOHYA_RULES: TargetRules = {
  module: ({ kind, r, B }) => {
    if (kind === 'embedding') return 'kohya files have no embeddings';
    return kind === 'conv2d' && B.shape[1] !== r ? 'a grouped convolution' : null;
  },
  extra: factorsOnly,
};

/** A layer without `.alpha` has alpha = rank, scale 1, as in kohya's own scripts. @throws FormatError */
export function readKohya(weights: Uint8Array | ArrayBuffer): LoraFile {
  const where = 'readKohya';
  const file = readSafetensors(where, weights);
  checkNetwork(where, file.metadata);
  const factors = new FactorTable(where);
  const others: ExtraTensor[] = [];
  for (const name of file.names) {
    const found = factorOf('kohya', name);
    if (found === null) {
      const kind = name.endsWith(MAGNITUDE_END.kohya) ? 'magnitude' : 'unknown';
      others.push({ name, kind, tensor: extraTensor(file, name) });
      continue;
    }
    factors.add(found.path, found.half, { shape: file.info(name).shape, data: file.f32(name) });
  }
  const { alphas, extras } = alphasBeside(where, file, others, factors.paths);
  for (const [path, alpha] of alphas)
    if (alpha === 0)
      throw new FormatError(
        `${where}: '${path}.alpha' is 0, which kohya's scripts read as the rank and other programs as no change; expected another number`,
      );
  const modules = factors.modules(
    (_, A) => (A.shape.length === 4 ? 'conv2d' : 'linear'),
    (path, r) => strengthOf(alphas.get(path) ?? r, r),
  );
  const placed = withLayers(extras, factors.paths);
  return { format: 'kohya', modules, extras: placed, config: null, warnings: [] };
}

/** LyCORIS's algorithms whose layers are up·down alone; rsLoRA is in their `.alpha` already. */
const PLAIN_ALGORITHMS = ['lora', 'locon', 'dylora'];
/** Networks of kohya's scripts, and of those that follow them, that are no plain LoRA. */
const OTHER_NETWORKS = /(?:^|[^a-z])(loha|lokr|oft|boft|ia3|glora|tlora|krona|cdka|abba|lllite)(?:[^a-z]|$)/i;

/** What the training wrote into the metadata of its network. @throws FormatError for one of other maths, by name */
function checkNetwork(where: string, metadata: ReadonlyMap<string, string>): void {
  const network = metadata.get('ss_network_module') ?? '';
  if (OTHER_NETWORKS.test(network))
    throw new FormatError(`${where}: ss_network_module is ${describe(network)}, expected a plain LoRA`);
  const text = metadata.get('ss_network_args');
  if (text === undefined || text.trim() === '') return;
  const args = parseJson(`${where}: ss_network_args`, text);
  const algorithm = args instanceof Map ? (args.get('algo') ?? null) : null;
  if (algorithm === null || algorithm === '') return;
  if (typeof algorithm !== 'string' || !PLAIN_ALGORITHMS.includes(algorithm.toLowerCase()))
    throw new FormatError(
      `${where}: ss_network_args has algo ${showJson(algorithm)}, expected ${PLAIN_ALGORITHMS.join(', ')} or none`,
    );
}

/** @throws FormatError for what cannot be held, and for two paths that get one name */
export function writeKohya(file: LoraFile, options: LoraWriteOptions = {}): Uint8Array<ArrayBuffer> {
  const where = 'writeKohya';
  checkLoraFile(where, file);
  checkWriteOptions(where, options);
  checkHeld(where, file, KOHYA_RULES);
  // Of two text encoders the first has a number as well.
  const ofTwo = file.modules.some(({ path }) => path.startsWith('text_encoder_2.'));
  const paths = new Map<string, string>();
  const tensors: [string, WritableTensor][] = [];
  for (const module of file.modules) {
    const name = ofTwo ? kohyaName(module.path).replace(/^lora_te_/, 'lora_te1_') : kohyaName(module.path);
    const other = paths.get(name);
    if (other !== undefined)
      throw new FormatError(
        `${where}: '${other}' and '${module.path}' are both '${name}', expected two names`,
      );
    paths.set(name, module.path);
    const own = plainAlpha(where, module);
    // Alpha 0 would be read as the rank: the zero goes into B.
    const zero = Math.fround(own) === 0;
    const alpha = Float32Array.of(zero ? module.r : own);
    tensors.push(
      [factorName('kohya', name, 'A'), module.A],
      [factorName('kohya', name, 'B'), zero ? scaledB(module, 0) : module.B],
      [`${name}.alpha`, { shape: [], data: alpha }],
    );
  }
  return under(where, () => writeSafetensors(tensors, { allowNonFinite: options.allowNonFinite ?? false }));
}
