// Rows and columns of a table by number: the lookup of an embedding and the sums of its gradients. ids are i32[M]; the host
// guarantees that each names a row (column) of the table. Sums go in the order of m, so repeated ids give the same bits every time.
import { indices, matrix } from '../checks';
import { checkWeight, expand, F32 } from '../weights';

/** y[m,:] = table[ids[m],:] for y[M,N]; the table's elements have `type`, its rows `step` bytes. */
export function gatherRows(M: i32, N: i32, ids: usize, type: i32, table: usize, step: i32, y: usize, ldy: i32): void {
  if (!ASC_NO_ASSERT) {
    indices('gatherRows: ids', ids, M, 0, i32.MAX_VALUE);
    checkWeight('gatherRows: table', type, table, min(M, 1), N, step);
    matrix('gatherRows: y', y, M, N, ldy);
  }
  const bytes = (<usize>N) << 2;
  for (let m = 0; m < M; m++, ids += 4, y += (<usize>ldy) << 2) {
    const row = table + <usize>load<u32>(ids) * <usize>step;
    if (type !== F32) {
      expand(type, 1, N, row, 0, 0, y, 0);
      continue;
    }
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) v128.store(y + at, v128.load(row + at));
    for (; at < bytes; at += 4) store<f32>(y + at, load<f32>(row + at));
  }
}

/** table[ids[m],:] += dy[m,:] for dy[M,N]; rows whose id is `skip` are left out. */
export function scatterAddRows(M: i32, N: i32, ids: usize, skip: i32, dy: usize, lddy: i32, table: usize, ldt: i32): void {
  if (!ASC_NO_ASSERT) {
    indices('scatterAddRows: ids', ids, M, skip, i32.MAX_VALUE);
    matrix('scatterAddRows: dy', dy, M, N, lddy);
    matrix('scatterAddRows: table', table, min(M, 1), N, ldt);
  }
  const bytes = (<usize>N) << 2;
  for (let m = 0; m < M; m++, ids += 4, dy += (<usize>lddy) << 2) {
    const id = load<i32>(ids);
    if (id === skip) continue;
    const row = table + (<usize>id * <usize>ldt << 2);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) v128.store(row + at, f32x4.add(v128.load(row + at), v128.load(dy + at)));
    for (; at < bytes; at += 4) store<f32>(row + at, load<f32>(row + at) + load<f32>(dy + at));
  }
}

/** h[m,r] = a[r, ids[m]] for h[M,R]; a has R rows. One element of each row: nothing to take four at a time. */
export function gatherColumns(M: i32, R: i32, ids: usize, a: usize, lda: i32, h: usize, ldh: i32): void {
  if (!ASC_NO_ASSERT) {
    indices('gatherColumns: ids', ids, M, 0, lda);
    matrix('gatherColumns: a', a, min(M, R), 1, lda);
    matrix('gatherColumns: h', h, M, R, ldh);
  }
  for (let m = 0; m < M; m++, ids += 4, h += (<usize>ldh) << 2) {
    let from = a + (<usize>load<u32>(ids) << 2);
    for (let to = h, end = h + ((<usize>R) << 2); to < end; to += 4, from += (<usize>lda) << 2) store<f32>(to, load<f32>(from));
  }
}

/** a[r, ids[m]] += u[m,r] for u[M,R]; rows of u whose id is `skip` are left out. */
export function scatterAddColumns(M: i32, R: i32, ids: usize, skip: i32, u: usize, ldu: i32, a: usize, lda: i32): void {
  if (!ASC_NO_ASSERT) {
    indices('scatterAddColumns: ids', ids, M, skip, lda);
    matrix('scatterAddColumns: u', u, M, R, ldu);
    matrix('scatterAddColumns: a', a, min(M, R), 1, lda);
  }
  for (let m = 0; m < M; m++, ids += 4, u += (<usize>ldu) << 2) {
    const id = load<i32>(ids);
    if (id === skip) continue;
    let to = a + (<usize>id << 2);
    for (let from = u, end = u + ((<usize>R) << 2); from < end; from += 4, to += (<usize>lda) << 2) {
      store<f32>(to, load<f32>(to) + load<f32>(from));
    }
  }
}
