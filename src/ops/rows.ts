/** Rows of a batch picked out and put back: how one forward serves rows that use different adapters. */
import { gatherRows, scatterAddRows } from '../engine/matrices.js';
import { matrix, weight } from '../engine/operands.js';
import { Tensor } from '../tensor/tensor.js';

/**
 * The given entries of the first dimension, seen as `batch` equal blocks of rows.
 * @param x - [n·batch, ...] float32 or int32
 */
export function selectRows(x: Tensor, entries: Int32Array<ArrayBuffer>, batch: number): Tensor {
  const rt = x.runtime;
  const { kernels } = rt.engine;
  return rt.attempt(() => {
    const width = x.size / batch;
    const shape = [(x.shape[0]! / batch) * entries.length, ...x.shape.slice(1)];
    const y = rt.empty(shape, x.dtype);
    const index = rt.tensor(entries).keep();
    gatherRows(
      kernels,
      index.pointer,
      weight(x.pointer, batch, width),
      matrix(y.pointer, entries.length, width),
    );
    rt.record(y, {
      name: 'selectRows',
      inputs: { x },
      keep: { index },
      backward({ dy, at, grad }) {
        const dx = grad('x');
        if (dx === null) return;
        if (dx.accumulate === 0) kernels.fill(x.size, 0, dx.pointer);
        const rows = matrix(dy.pointer, entries.length, width);
        scatterAddRows(kernels, at('index'), -1, rows, matrix(dx.pointer, batch, width));
      },
    });
    index.dispose();
    return y;
  });
}

/**
 * Puts the parts back together: block `entries[i][j]` of the result is block j of part i. Every block is given once.
 * @returns [n·batch, ...]
 */
export function placeRows(
  parts: readonly Tensor[],
  entries: readonly Int32Array<ArrayBuffer>[],
  batch: number,
): Tensor {
  const first = parts[0]!;
  const rt = first.runtime;
  const { kernels } = rt.engine;
  const width = first.size / entries[0]!.length;
  const y = rt.empty([(first.shape[0]! / entries[0]!.length) * batch, ...first.shape.slice(1)], 'f32');
  for (const [i, part] of parts.entries())
    for (const [j, entry] of entries[i]!.entries())
      kernels.scale(width, 1, part.pointer + 4 * j * width, y.pointer + 4 * entry * width);
  return rt.record(y, {
    name: 'placeRows',
    inputs: { parts },
    keep: {},
    backward({ dy, wants, pass }) {
      for (const [i, own] of entries.entries()) {
        if (!wants('parts', i)) continue;
        const part = new Tensor(rt, dy.storage.retain(), dy.offset, y.shape, 'f32');
        const picked = rt.noGrad(() => selectRows(part, own, batch));
        pass(picked, 'parts', i);
        picked.dispose();
        part.dispose();
      }
    },
  });
}
