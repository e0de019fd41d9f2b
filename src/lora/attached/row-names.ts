/** The rows of a batch with adapters of their own, one or none for each, around whatever calls the model: what `withAdapterNames` does. */
import { Conv2d } from '../../nn/conv2d.js';
import { Embedding } from '../../nn/embedding.js';
import { LayerNorm } from '../../nn/layer-norm.js';
import { Linear } from '../../nn/linear.js';
import type { Layer, Module } from '../../nn/module.js';
import { RMSNorm } from '../../nn/rms-norm.js';
import { linearAs } from '../../ops/linear.js';
import { Tensor } from '../../tensor/tensor.js';
import { describe } from '../../values/checks.js';
import { showShape } from '../../values/shape.js';
import { AdapterError } from '../errors.js';
import { LoraLayer } from '../layer/lora-layer.js';
import { byRows, type Rows } from '../layer/rows.js';
import type { Attachment } from './attachment.js';
import type { OwnCopy } from './copies.js';

/**
 * Runs `fn` with the rows of each batch given adapters of their own.
 * @param lora - the LoraModel itself
 * @param names - the adapter of each row, `'__base__'` for none
 * @throws TypeError, AdapterError
 */
export function withRowNames<T>(attachment: Attachment, lora: Module, names: unknown, fn: () => T): T {
  const where = 'LoraModel.withAdapterNames';
  attachment.guard.checkFree(where);
  const rows = checkRowNames(where, attachment, lora, names);
  const { adapters, layers } = attachment;
  const copied = copiesByModule(where, attachment, rows);
  return attachment.guard.run('withAdapterNames', where, fn, (inner) =>
    adapters.withOriginals(() => {
      const restore: (() => void)[] = [];
      attachment.rowNames = rows;
      try {
        for (const layer of layers) layer.computing.rows = { names: rows, copies: copied.get(layer) ?? NONE };
        for (const [module, copies] of copied)
          if (computesByRows(module)) restore.push(forwardByRows(module, { names: rows, copies }));
        return inner();
      } finally {
        attachment.rowNames = null;
        for (const layer of layers) layer.computing.rows = null;
        for (const back of restore) back();
      }
    }),
  );
}

/** @param lora - the LoraModel itself @throws AdapterError where a forward inside `withAdapterNames` has another batch, or trains */
export function checkBatch({ rowNames }: Attachment, lora: Module, inputs: readonly unknown[]): void {
  if (rowNames === null) return;
  const where = 'LoraModel.forward: adapterNames';
  const batch = inputs.find((input) => input instanceof Tensor);
  if (batch !== undefined && rowNames.length !== batch.shape[0])
    throw new AdapterError(
      `${where} has ${rowNames.length} names, expected one for each row of ${showShape(batch.shape)}`,
    );
  checkEvaluating(where, lora);
}

type Copies = Map<string, OwnCopy[]>;

const NONE: Copies = new Map();

/** The modules that adapters of `rows` have copies in, with those copies by adapter. @throws AdapterError for one whose rows may not be parted */
function copiesByModule(
  where: string,
  { adapters, model }: Attachment,
  rows: readonly string[],
): Map<Module, Copies> {
  const found = new Map<Module, Copies>();
  const carrying = [...new Set(rows)].flatMap((name) => {
    const adapter = name === '__base__' ? null : adapters.get(where, name);
    return adapter === null || adapter.copies.length === 0 ? [] : [adapter];
  });
  if (carrying.length === 0) return found;
  const modules = new Map(model.namedModules());
  for (const { name, copies } of carrying) {
    for (const copy of copies) {
      const module = modules.get(copy.path)!;
      if (!(module instanceof LoraLayer) && !computesByRows(module))
        throw new AdapterError(
          `${where}: '${name}' carries ${copy.kind === 'bias' ? 'a trained bias' : 'saved parameters'} of '${copy.path}', a ${module.constructor.name}, which rows cannot have; expected ${BY_ROWS.map((Kind) => Kind.name).join(', ')}, or setAdapter()`,
        );
      const own = found.get(module) ?? new Map<string, OwnCopy[]>();
      own.set(name, [...(own.get(name) ?? []), copy]);
      found.set(module, own);
    }
  }
  return found;
}

/** Layers that compute each row of a batch by itself, whatever the others are. */
const BY_ROWS = [Linear, Embedding, Conv2d, LayerNorm, RMSNorm] as const;

function computesByRows(module: Module): module is Layer {
  return BY_ROWS.some((Kind) => module instanceof Kind);
}

/** Gives a module a forward that computes the rows of each adapter with its copies. @returns what takes it away again */
function forwardByRows(module: Layer, rows: Rows): () => void {
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

/** @throws TypeError, AdapterError */
function checkRowNames(
  where: string,
  { adapters, merged }: Attachment,
  lora: Module,
  names: unknown,
): readonly string[] {
  if (!Array.isArray(names))
    throw new TypeError(`${where}: names is ${describe(names)}, expected an array of names`);
  if (names.length === 0)
    throw new AdapterError(`${where}: names is empty, expected one for each row of the batch`);
  for (const name of names) if (name !== '__base__') adapters.get(where, name as string);
  if (merged[0] !== undefined)
    throw new AdapterError(`${where} while adapter '${merged[0]}' is merged, expected unmerge() first`);
  checkEvaluating(where, lora);
  return [...(names as string[])];
}

/** @throws AdapterError where a module trains */
function checkEvaluating(where: string, lora: Module): void {
  if (lora.namedModules().some(([, module]) => module.training))
    throw new AdapterError(`${where} in training mode, expected eval() first`);
}
