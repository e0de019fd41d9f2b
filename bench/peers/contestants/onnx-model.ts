/** A linear layer as an ONNX model: a Gemm, and where wanted the low-rank branch beside it. */
import protobuf from 'protobufjs';
import type { Problem } from '../../core/problem.js';

/** The part of ONNX's format that such a model has. */
const FORMAT = `syntax = "proto3";
message Attribute { string name = 1; float f = 2; int64 i = 3; int32 type = 20; }
message Node { repeated string input = 1; repeated string output = 2; string opType = 4; repeated Attribute attribute = 5; }
message Tensor { repeated int64 dims = 1; int32 dataType = 2; string name = 8; bytes rawData = 9; }
message Dimension { int64 dimValue = 1; }
message Shape { repeated Dimension dim = 1; }
message TensorType { int32 elemType = 1; Shape shape = 2; }
message Type { TensorType tensorType = 1; }
message ValueInfo { string name = 1; Type type = 2; }
message Graph {
  repeated Node node = 1; string name = 2; repeated Tensor initializer = 5;
  repeated ValueInfo input = 11; repeated ValueInfo output = 12;
}
message OperatorSet { int64 version = 2; }
message Model { int64 irVersion = 1; Graph graph = 7; repeated OperatorSet opsetImport = 8; }`;

const FLOAT_TYPE = 1;

/** A Gemm whose second operand is transposed. */
const gemm = (input: string[], output: string, alpha = 1) => ({
  ...{ input, output: [output], opType: 'Gemm' },
  attribute: [
    { name: 'transB', i: 1, type: 2 },
    { name: 'alpha', f: alpha, type: 1 },
  ],
});

const constant = (name: string, data: Float32Array, dims: number[]) => ({
  ...{ name, dims, dataType: FLOAT_TYPE },
  rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

const matrix = (name: string, dims: number[]) => ({
  name,
  type: { tensorType: { elemType: FLOAT_TYPE, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
});

/** y = x·Wᵀ + bias, plus scaling·(x·Aᵀ)·Bᵀ with `withLora`; input `x`, output `y`. */
export function linearModel({ M, N, K, w, bias, low }: Problem, withLora: boolean): Uint8Array {
  const { r, a, b, scaling } = low;
  const branch = [gemm(['x', 'a'], 'h'), gemm(['h', 'b', 'plain'], 'y', scaling)];
  const factors = [constant('a', a, [r, K]), constant('b', b, [N, r])];
  const graph = {
    name: 'layer',
    node: [gemm(['x', 'w', 'bias'], withLora ? 'plain' : 'y'), ...(withLora ? branch : [])],
    initializer: [constant('w', w, [N, K]), constant('bias', bias, [N]), ...(withLora ? factors : [])],
    ...{ input: [matrix('x', [M, K])], output: [matrix('y', [M, N])] },
  };
  const Model = protobuf.parse(FORMAT).root.lookupType('Model');
  return Model.encode({ irVersion: 8, graph, opsetImport: [{ version: 17 }] }).finish();
}
