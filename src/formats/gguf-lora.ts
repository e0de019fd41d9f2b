/**
 * llama.cpp's LoRA adapters: `<base tensor>.lora_a` and `.lora_b` with one alpha, divided by each tensor's own rank; there is
 * no rsLoRA and no alpha per layer, so both go into B. The token embedding's lora_a lies transposed. Llama's query and key rows
 * are reordered, which needs the base's heads.
 */

import { transposed } from '../values/arrays.js';
import { FormatError } from '../values/format-error.js';
import { bytesOf, checkBase, checkWriteOptions } from './check.js';
import { checkLoraFile } from './check-file.js';
import { factorName, factorOf } from './factor-names.js';
import { FactorTable, withLayers } from './factors.js';
import { type GgufBase, ggufName, isReordered, pathOfGguf, reorderRows } from './gguf-base.js';
import { formatGguf, ggufValues, openGgufAs } from './gguf-file.js';
import {
  checkHeld,
  type ExtraTensor,
  factorsOnly,
  isEmbeddingName,
  type LoraArray,
  type LoraFile,
  type TargetRules,
} from './lora-file.js';
import { commonest, type LoraWriteOptions, plainAlpha } from './peft-write.js';
import { scaledB } from './scaled.js';
import { memorySource } from './source.js';
import { isFiniteFloat, strengthOf } from './strength.js';

export interface GgufOptions extends LoraWriteOptions {
  /** The model that the adapter is for; without it names stay as they are. */
  readonly base?: GgufBase | null;
}

const isTokens = (name: string): boolean => name.endsWith('token_embd');

/** @throws FormatError for a file that is no LoRA adapter in GGUF, or that is cut short */
export async function readGguf(bytes: Uint8Array, options: GgufOptions = {}): Promise<LoraFile> {
  const where = 'readGguf';
  checkWriteOptions(where, options, ['base']);
  const { base = null } = options;
  checkBase(where, base);
  const source = memorySource(bytesOf(`${where}: bytes`, bytes));
  const { metadata, tensors } = await openGgufAs(where, source);
  for (const [field, wanted] of [
    ['general.type', 'adapter'],
    ['adapter.type', 'lora'],
  ] as const) {
    if (metadata.get(field) !== wanted)
      throw new FormatError(`${where}: ${field} is ${String(metadata.get(field))}, expected ${wanted}`);
  }
  const architecture = String(metadata.get('general.architecture'));
  if (base !== null && architecture !== 'unknown' && base.architecture !== architecture)
    throw new FormatError(
      `${where}: the adapter is for ${architecture}, expected ${base.architecture} as the base is`,
    );
  const { alpha, warnings: unknown } = adapterMetadata(where, metadata);
  const factors = new FactorTable(where);
  const extras: ExtraTensor[] = [];
  const names = new Map<string, string>();
  for (const [tensorName, tensor] of tensors) {
    const values = await ggufValues(where, source, tensorName, tensor);
    const found = factorOf('gguf', tensorName);
    if (found === null) {
      extras.push({ name: tensorName, kind: 'unknown', tensor: values });
      continue;
    }
    const { half } = found;
    const name = found.path.replace(/(?<=.)\.weight$/s, '');
    if (values.shape.length !== 2)
      throw new FormatError(
        `${where}: tensor '${tensorName}' is [${values.shape.join(', ')}], expected 2 dimensions`,
      );
    const path = base === null ? name : (pathOfGguf(base, name) ?? name);
    names.set(path, name);
    if (half === 'A') factors.add(path, 'A', isTokens(name) ? transposed(values) : values);
    else factors.add(path, 'B', base === null ? values : reorderRows(where, base, name, values, true));
  }
  const modules = factors.modules(
    (path) => (isEmbeddingName(names.get(path) ?? path) ? 'embedding' : 'linear'),
    // llama.cpp leaves the division out when alpha is 0 or missing.
    (_, r) => strengthOf(alpha === 0 ? r : alpha, r),
  );
  const kept = base === null ? factors.paths.filter((name) => isReordered(architecture, name)) : [];
  const warnings =
    kept.length === 0
      ? []
      : [
          `${where}: without the base model ${kept.join(', ')} keep GGUF's order of rows, which only GGUF uses`,
        ];
  const paths = new Map([...names].map(([path, name]) => [name, path]));
  const placed = withLayers(extras, [...paths.keys()]).map((extra) =>
    extra.layer === undefined ? extra : { ...extra, layer: paths.get(extra.layer) ?? extra.layer },
  );
  return { format: 'gguf', modules, extras: placed, config: null, warnings: [...unknown, ...warnings] };
}

const KNOWN = ['adapter.type', 'adapter.lora.alpha', 'adapter.lora.task_name', 'adapter.lora.prompt_prefix'];
const ACTIVATED = 'adapter.alora.invocation_tokens';

/** Alpha, 0 where there is none, and a warning for what nobody here knows. @throws FormatError for what changes the maths */
function adapterMetadata(where: string, metadata: ReadonlyMap<string, unknown>) {
  const tokens = metadata.get(ACTIVATED);
  if (tokens !== undefined && !(Array.isArray(tokens) && tokens.length === 0))
    throw new FormatError(
      `${where}: ${ACTIVATED} is set: the adapter acts from these tokens on only, which is not implemented; expected it unset`,
    );
  const alpha = metadata.get('adapter.lora.alpha') ?? 0;
  if (!isFiniteFloat(alpha))
    throw new FormatError(
      `${where}: adapter.lora.alpha is ${typeof alpha === 'number' ? alpha : `a ${typeof alpha}`}, expected a finite number`,
    );
  const warnings = [...metadata.keys()]
    .filter((key) => key.startsWith('adapter.') && key !== ACTIVATED && !KNOWN.includes(key))
    .map((key) => `${where}: unknown metadata '${key}' was not used`);
  return { alpha, warnings };
}

/** What a GGUF adapter for this base holds. */
export function ggufRules(base: GgufBase | null): TargetRules {
  return {
    module: ({ path, kind }) => {
      if (kind === 'conv2d') return 'llama.cpp adapts no convolutions';
      // llama.cpp looks factors up by the tensor: the head finds those of the embedding, which lie transposed, and it aborts.
      if (base?.tied === true && kind === 'embedding')
        return 'llama.cpp adapts no embedding that is the head too';
      if (base !== null)
        return ggufName(base, path) === null ? `no layer of ${base.architecture} in GGUF` : null;
      if (/(?:^|\.)[qk]_proj$/.test(path))
        return "its rows may be reordered in GGUF, which needs the base's heads";
      return kind === 'embedding' && !isEmbeddingName(path) ? 'not known as an embedding by its name' : null;
    },
    extra: factorsOnly,
  };
}

/** The file, and warnings: without a base llama.cpp cannot apply it. @throws FormatError */
export async function writeGguf(
  file: LoraFile,
  options: GgufOptions = {},
): Promise<{ bytes: Uint8Array<ArrayBuffer>; warnings: string[] }> {
  const where = 'writeGguf';
  checkLoraFile(where, file);
  checkWriteOptions(where, options, ['base']);
  const { base = null, allowNonFinite = false } = options;
  checkBase(where, base);
  checkHeld(where, file, ggufRules(base));
  const alphas = file.modules.map((module) => Math.fround(plainAlpha(where, module)));
  const usual = commonest(alphas);
  const alpha = usual === 0 ? 1 : usual;
  const tensors = file.modules.flatMap((module, i): [string, LoraArray][] => {
    const name = (base === null ? null : ggufName(base, module.path)) ?? module.path;
    const B = scaledB(module, alphas[i] === alpha ? 1 : plainAlpha(where, module) / alpha);
    const rows = base === null ? B : reorderRows(where, base, name, B, false);
    return [
      [factorName('gguf', `${name}.weight`, 'A'), isTokens(name) ? transposed(module.A) : module.A],
      [factorName('gguf', `${name}.weight`, 'B'), rows],
    ];
  });
  if (new Set(tensors.map(([name]) => name)).size !== tensors.length)
    throw new FormatError(`${where}: a path appears twice, expected each once`);
  if (!allowNonFinite) for (const [name, { data }] of tensors) checkFinite(where, name, data);
  const metadata: [string, string | number][] = [
    ['general.architecture', base?.architecture ?? 'unknown'],
    ['general.type', 'adapter'],
    ['adapter.type', 'lora'],
    ['adapter.lora.alpha', alpha],
  ];
  const warnings =
    base === null
      ? [`${where}: without a base model the layers keep their names, and llama.cpp cannot apply the file`]
      : [];
  return { bytes: formatGguf(metadata, tensors), warnings };
}

function checkFinite(where: string, name: string, data: Float32Array): void {
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0)
    throw new FormatError(
      `${where}: tensor '${name}': element ${wrong} is ${data[wrong]}, expected finite values; allowNonFinite writes them`,
    );
}
