/** What an adapter holds, as JSON or as a table. */
import Table from 'cli-table3';
import { deltaNorm, norm } from '../../formats/delta.js';
import type { LoraFile } from '../../formats/lora-file.js';
import { printable } from '../../values/format-error.js';

/** One layer; alpha, scale and delta are null when the file does not hold alpha. */
export interface LayerReport {
  readonly path: string;
  readonly kind: string;
  readonly A: readonly number[];
  readonly B: readonly number[];
  readonly r: number;
  readonly alpha: number | null;
  readonly scale: number | null;
  readonly norms: { readonly A: number; readonly B: number; readonly delta: number | null };
}

export interface Report {
  readonly format: string;
  readonly bytes: number;
  readonly parameters: number;
  readonly ranks: readonly number[];
  readonly alphas: readonly (number | null)[];
  readonly layers: readonly LayerReport[];
  readonly others: readonly {
    readonly name: string;
    readonly kind: string;
    readonly shape: readonly number[];
  }[];
  readonly warnings: readonly string[];
}

export function reportOf(file: LoraFile, bytes: number): Report {
  const layers = file.modules.map((module) => ({
    path: module.path,
    kind: module.kind,
    A: module.A.shape,
    B: module.B.shape,
    r: module.r,
    alpha: module.alpha,
    scale: module.scale,
    norms: { A: norm(module.A), B: norm(module.B), delta: deltaNorm(module) },
  }));
  return {
    format: file.format,
    bytes,
    parameters: file.modules.reduce((sum, { A, B }) => sum + A.data.length + B.data.length, 0),
    ranks: [...new Set(layers.map(({ r }) => r))].sort((a, b) => a - b),
    alphas: [...new Set(layers.map(({ alpha }) => alpha))].sort((a, b) => (a ?? 0) - (b ?? 0)),
    layers,
    others: file.extras.map(({ name, kind, tensor }) => ({ name, kind, shape: tensor.shape })),
    warnings: file.warnings,
  };
}

const shown = (value: number | null): string =>
  value === null ? 'unknown' : String(Number(value.toPrecision(5)));
const shape = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;

export function tableOf(report: Report): string {
  const { format, bytes, parameters, ranks, alphas, layers, others } = report;
  const table = new Table({
    head: ['layer', 'kind', 'A', 'B', 'r', 'alpha', 'scale', '|A|', '|B|', '|delta|'],
    style: { head: [], border: [] },
  });
  for (const { path, kind, A, B, r, alpha, scale, norms } of layers) {
    const numbers = [alpha, scale, norms.A, norms.B, norms.delta].map(shown);
    table.push([printable(path), kind, shape(A), shape(B), String(r), ...numbers]);
  }
  const lines = [
    `${format} adapter, ${layers.length} layers, ${parameters} parameters in factors, ${bytes} bytes`,
    `rank ${ranks.join(', ')}; alpha ${alphas.map(shown).join(', ')}`,
    table.toString(),
    ...others.map(({ name, kind, shape: sizes }) => `also ${printable(name)} ${shape(sizes)} (${kind})`),
  ];
  return lines.join('\n');
}
