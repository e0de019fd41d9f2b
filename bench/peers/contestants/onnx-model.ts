/** A linear layer as an ONNX model, its protobuf bytes written here: a Gemm, and where wanted the low-rank branch beside it. */
import type { Problem } from '../../core/problem.js';

const VARINT = 0;
const BYTES = 2;
const FLOAT_TYPE = 1;
const FLOAT32 = 5;

type Field = Uint8Array;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function integer(field: number, value: number): Field {
  return Uint8Array.from([...varint(field * 8 + VARINT), ...varint(value)]);
}

function block(field: number, bytes: Uint8Array): Field {
  return joined([Uint8Array.from([...varint(field * 8 + BYTES), ...varint(bytes.length)]), bytes]);
}

const text = (field: number, value: string): Field => block(field, new TextEncoder().encode(value));
const message = (field: number, ...fields: readonly Field[]): Field => block(field, joined(fields));

function float(field: number, value: number): Field {
  return joined([
    Uint8Array.from(varint(field * 8 + FLOAT32)),
    new Uint8Array(Float32Array.of(value).buffer),
  ]);
}

/** NodeProto: inputs 1, outputs 2, type 4, attributes 5. */
function node(type: string, inputs: readonly string[], output: string, ...attributes: Field[]): Field {
  return message(1, ...inputs.map((name) => text(1, name)), text(2, output), text(4, type), ...attributes);
}

/** AttributeProto: name 1, float 2, integer 3, type 20 (1 float, 2 integer). */
const flag = (name: string): Field => message(5, text(1, name), integer(3, 1), integer(20, 2));
const factor = (name: string, value: number): Field =>
  message(5, text(1, name), float(2, value), integer(20, 1));

/** TensorProto: dims 1, data type 2, name 8, raw data 9. */
function constant(name: string, data: Float32Array, dims: readonly number[]): Field {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(5, ...dims.map((d) => integer(1, d)), integer(2, FLOAT_TYPE), text(8, name), block(9, raw));
}

/** ValueInfoProto of a float matrix: name 1, type 2 > tensor 1 > element type 1, shape 2 > dim 1 > value 1. */
function matrix(field: number, name: string, dims: readonly number[]): Field {
  const shape = message(2, ...dims.map((d) => message(1, integer(1, d))));
  return message(field, text(1, name), message(2, message(1, integer(1, FLOAT_TYPE), shape)));
}

/** ModelProto of y = x·Wᵀ + bias, plus scaling·(x·Aᵀ)·Bᵀ with `withLora`; input `x`, output `y`. */
export function linearModel({ M, N, K, w, bias, low }: Problem, withLora: boolean): Uint8Array {
  const { r, a, b, scaling } = low;
  const plain = node('Gemm', ['x', 'w', 'bias'], withLora ? 'plain' : 'y', flag('transB'));
  const branch = [
    node('Gemm', ['x', 'a'], 'h', flag('transB')),
    node('Gemm', ['h', 'b', 'plain'], 'y', flag('transB'), factor('alpha', scaling)),
    constant('a', a, [r, K]),
    constant('b', b, [N, r]),
  ];
  const graph = message(
    7,
    plain,
    text(2, 'layer'),
    constant('w', w, [N, K]),
    constant('bias', bias, [N]),
    ...(withLora ? branch : []),
    matrix(11, 'x', [M, K]),
    matrix(12, 'y', [M, N]),
  );
  return joined([integer(1, 8), graph, message(8, integer(2, 17))]);
}
