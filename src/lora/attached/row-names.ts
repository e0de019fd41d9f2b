/** A model's forward with options: `adapterNames` gives one adapter, or none, for each row of a batch. */
import { Conv2d } from '../../nn/conv2d.js';
import { Embedding } from '../../nn/embedding.js';
import { LayerNorm } from '../../nn/layer-norm.js';
import { Linear } from '../../nn/linear.js';
import type { Module } from '../../nn/module.js';
import { linearAs } from '../../ops/linear.js';
import { Tensor } from '../../tensor/tensor.js';
import { checkOptions, describe } from '../../values/checks.js';
import { showShape } from '../../values/shape.js';
import { AdapterError } from '../errors.js';
import { LoraLayer } from '../layer/lora-layer.js';
import type { AdapterSet } from './adapter-set.js';
import type { Attachment } from './attachment.js';
import type { OwnCopy } from './copies.js';
import { byRows, type Rows } from './rows.js';

/** Options of one `forward`, behind its tensors. */
export interface ForwardOptions {
  /**
   * The adapter of each row of the batch (the first dimension); `'__base__'` for none. Evaluation mode only. A row has its
   * adapter's trained biases and saved modules too, where those belong to Linear, Embedding, Conv2d or LayerNorm layers; they
   * act in `forward` of these: code that reads their parameters itself meets the base's.
   */
  readonly adapterNames?: readonly string[];
}

/** @param lora - the LoraModel itself @throws TypeError, AdapterError */
export function forwardWith(
  attachment: Attachment,
  lora: Module,
  inputs: readonly (Tensor | ForwardOptions)[],
): Tensor {
  const { model, runtime } = attachment;
  const last = inputs.at(-1);
  if (last === undefined || last instanceof Tensor || typeof last !== 'object' || last === null)
    return runtime.attempt(() => model.forward(...(inputs as Tensor[])));
  checkOptions('LoraModel.forward', last, ['adapterNames']);
  const tensors = inputs.slice(0, -1) as Tensor[];
  const { adapterNames } = last;
  if (adapterNames === undefined) return runtime.attempt(() => model.forward(...tensors));
  const training = lora.namedModules().some(([, module]) => module.training);
  const { adapters, layers, merged } = attachment;
  const rows = checkRowNames(adapters, adapterNames, tensors[0], { merged, training });
  const copied = copiesByModule(attachment, rows);
  return adapters.withOriginals(() => {
    const restore: (() => void)[] = [];
    try {
      for (const layer of layers) layer.setRows({ names: rows, copies: copied.get(layer) ?? NONE });
      for (const [module, copies] of copied)
        if (!(module instanceof LoraLayer)) restore.push(forwardByRows(module, { names: rows, copies }));
      return runtime.attempt(() => model.forward(...tensors));
    } finally {
      for (const layer of layers) layer.setRows(null);
      for (const back of restore) back();
    }
  });
}

type Copies = Map<string, OwnCopy[]>;

const NONE: Copies = new Map();

/** The modules that adapters of `rows` have copies in, with those copies by adapter. @throws AdapterError for one whose rows may not be parted */
function copiesByModule({ adapters, model }: Attachment, rows: readonly string[]): Map<Module, Copies> {
  const found = new Map<Module, Copies>();
  const carrying = [...new Set(rows)].flatMap((name) => {
    const adapter = name === '__base__' ? null : adapters.get('LoraModel.forward', name);
    return adapter === null || adapter.copies.length === 0 ? [] : [adapter];
  });
  if (carrying.length === 0) return found;
  const modules = new Map(model.namedModules());
  for (const { name, copies } of carrying) {
    for (const copy of copies) {
      const module = modules.get(copy.path)!;
      if (!(module instanceof LoraLayer) && !BY_ROWS.some((Kind) => module instanceof Kind))
        throw new AdapterError(
          `LoraModel.forward: adapterNames: '${name}' carries ${copy.kind === 'bias' ? 'a trained bias' : 'saved parameters'} of '${copy.path}', a ${module.constructor.name}, which rows cannot have; expected ${BY_ROWS.map((Kind) => Kind.name).join(', ')}, or setAdapter()`,
        );
      const own = found.get(module) ?? new Map<string, OwnCopy[]>();
      own.set(name, [...(own.get(name) ?? []), copy]);
      found.set(module, own);
    }
  }
  return found;
}

/** Layers that compute each row of a batch by itself, whatever the others are. */
const BY_ROWS = [Linear, Embedding, Conv2d, LayerNorm] as const;

/** Gives a module a forward that computes the rows of each adapter with its copies. @returns what takes it away again */
function forwardByRows(module: Module, rows: Rows): () => void {
  const before = Object.getOwnPropertyDescriptor(module, 'forward');
  const { forward } = module;
  const where = `${module.constructor.name}.forward`;
  // A plain Linear takes the path of the whole batch, so that its bits are those of a full run.
  const plain = module instanceof Linear && forward === Linear.prototype.forward ? module : null;
  const byRow = (x: Tensor): Tensor =>
    byRows(
      where,
      x,
      rows,
      () => false,
      (_, part) => {
        if (plain === null) return forward.call(module, part);
        const { weight, bias, fanInFanOut } = plain;
        const planRows = x.size / (x.shape.at(-1) ?? 1);
        return linearAs(where, part, weight, bias, { fanInFanOut, planRows });
      },
    );
  Object.defineProperty(module, 'forward', { value: byRow, configurable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(module, 'forward');
    else Object.defineProperty(module, 'forward', before);
  };
}

/** @param first - the batch, rows first @throws TypeError, AdapterError */
function checkRowNames(
  adapters: AdapterSet,
  names: unknown,
  first: unknown,
  state: { readonly merged: readonly string[]; readonly training: boolean },
): readonly string[] {
  const where = 'LoraModel.forward: adapterNames';
  if (!Array.isArray(names))
    throw new TypeError(`${where} is ${describe(names)}, expected an array of names`);
  const rows = first instanceof Tensor ? first.shape[0] : undefined;
  if (names.length === 0 || names.length !== rows) {
    const shape = first instanceof Tensor ? showShape(first.shape) : describe(first);
    throw new AdapterError(`${where} has ${names.length} names, expected one for each row of ${shape}`);
  }
  for (const name of names) {
    if (name !== '__base__') adapters.get(where, name as string);
  }
  if (state.merged[0] !== undefined)
    throw new AdapterError(`${where} while adapter '${state.merged[0]}' is merged, expected unmerge() first`);
  if (state.training) throw new AdapterError(`${where} in training mode, expected eval() first`);
  return names as string[];
}
