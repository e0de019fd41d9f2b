/** Two Linear layers with adapters that do something, and what their deltas must come to in float64. */
import { Linear, type LoraLinear, LoraModel, type Runtime, Sequential } from '../../src/index.js';
import { stir } from './layers.js';

const CONFIG = { r: 3, loraAlpha: 6, targetModules: ['0', '1'] } as const;

export function twoLinears(rt: Runtime, names: readonly string[] = ['a']): LoraModel<Sequential> {
  const lora = LoraModel.attach(new Sequential(new Linear(rt, 9, 8), new Linear(rt, 8, 7)), CONFIG, names[0]);
  for (const name of names.slice(1)) lora.addAdapter(name, CONFIG);
  for (const name of names) for (const layer of layersOf(lora)) stir(rt, layer, name);
  lora.eval();
  return lora;
}

export function layersOf(lora: LoraModel<Sequential>): LoraLinear[] {
  return lora.model.layers as unknown as LoraLinear[];
}

/** Σ weight·scaling·B·A of the first layer in float64. */
export function sumOfDeltas(layer: LoraLinear, weights: Record<string, number>): Float64Array {
  const sum = new Float64Array(layer.weight.size);
  for (const [name, weight] of Object.entries(weights)) {
    const { A, B, scaling } = layer.factors(name);
    const [a, b] = [A.toArray(), B.toArray()];
    const [out, r, width] = [B.shape[0]!, B.shape[1]!, A.shape[1]!];
    for (let i = 0; i < out; i++)
      for (let k = 0; k < r; k++)
        for (let j = 0; j < width; j++)
          sum[i * width + j]! += weight * scaling * b[i * r + k]! * a[k * width + j]!;
  }
  return sum;
}
