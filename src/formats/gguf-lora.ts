/**
 * llama.cpp's LoRA adapters: `<base tensor>.lora_a` and `.lora_b` with one alpha, divided by each tensor's own rank; there is
 * no rsLoRA and no alpha per layer, so both go into B. The token embedding's lora_a lies transposed. Llama's query and key rows
 * are reordered, which needs the base's heads.
 */
import { FormatError } from './errors.js';
import { type GgufBase, ggufName, isReordered, pathOfGguf, reorderRows } from './gguf-base.js';
import { formatGguf, ggufValues, openGguf } from './gguf-file.js';
import {
  bothHalves,
  checkHeld,
  type ExtraTensor,
  factorsOnly,
  type Halves,
  isEmbeddingName,
  type LoraArray,
  type LoraFile,
  loraModule,
  strengthOf,
  type TargetRules,
} from './lora-file.js';
import { commonest, type LoraWriteOptions, plainAlpha } from './peft-write.js';
import { scaledB, transposed } from './scaled.js';
import { memorySource } from './source.js';

export interface GgufOptions extends LoraWriteOptions {
  /** The model that the adapter is for; without it names stay as they are. */
  readonly base?: GgufBase | null;
}

const isTokens = (name: string): boolean => name.endsWith('token_embd');

/** @throws FormatError for a file that is no LoRA adapter in GGUF, or that is cut short */
export async function readGguf(bytes: Uint8Array, { base = null }: GgufOptions = {}): Promise<LoraFile> {
  const where = 'readGguf';
  const source = memorySource(bytes);
  const { metadata, tensors } = await openGguf(where, source);
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
  const alpha = Number(metadata.get('adapter.lora.alpha') ?? 0);
  const factors = new Map<string, Halves>();
  const extras: ExtraTensor[] = [];
  for (const [name, tensor] of tensors) {
    const values = await ggufValues(where, source, name, tensor);
    const found = /^(.+?)(?:\.weight)?\.lora_([ab])$/.exec(name);
    if (found === null) {
      extras.push({ name, kind: 'unknown', tensor: values });
      continue;
    }
    const halves = factors.get(found[1]!) ?? {};
    if (found[2] === 'a') halves.A = isTokens(found[1]!) ? transposed(values) : values;
    else halves.B = values;
    factors.set(found[1]!, halves);
  }
  const modules = [...factors].map(([name, halves]) => {
    const { A, B } = bothHalves(where, name, halves);
    const path = base === null ? name : (pathOfGguf(base, name) ?? name);
    const rows = base === null ? B : reorderRows(where, base, name, B, true);
    const kind = isEmbeddingName(name) ? 'embedding' : 'linear';
    // llama.cpp leaves the division out when alpha is 0 or missing.
    return loraModule(where, path, kind, { A, B: rows }, (r) => strengthOf(alpha === 0 ? r : alpha, r));
  });
  const kept = base === null ? [...factors.keys()].filter((name) => isReordered(architecture, name)) : [];
  const warnings =
    kept.length === 0
      ? []
      : [
          `${where}: without the base model ${kept.join(', ')} keep GGUF's order of rows, which only GGUF uses`,
        ];
  return { format: 'gguf', modules, extras, config: null, warnings };
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
  { base = null, allowNonFinite = false }: GgufOptions = {},
): Promise<{ bytes: Uint8Array<ArrayBuffer>; warnings: string[] }> {
  const where = 'writeGguf';
  checkHeld(where, file, ggufRules(base));
  const alphas = file.modules.map((module) => Math.fround(plainAlpha(where, module)));
  const usual = commonest(alphas);
  const alpha = usual === 0 ? 1 : usual;
  const tensors = file.modules.flatMap((module, i): [string, LoraArray][] => {
    const name = (base === null ? null : ggufName(base, module.path)) ?? module.path;
    const B = scaledB(module, alphas[i] === alpha ? 1 : plainAlpha(where, module) / alpha);
    const rows = base === null ? B : reorderRows(where, base, name, B, false);
    return [
      [`${name}.weight.lora_a`, isTokens(name) ? transposed(module.A) : module.A],
      [`${name}.weight.lora_b`, rows],
    ];
  });
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
