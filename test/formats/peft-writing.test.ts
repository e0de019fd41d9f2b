/** PEFT adapters written from the neutral description, and the deltas that it stands for. */
import { describe, expect, test } from 'vitest';
import {
  deltaNorm,
  deltaWeight,
  norm,
  parsePeftConfig,
  parseSafetensors,
  readPeft,
  writePeft,
} from '../../src/formats/index.js';
import { expectSameDelta, makeFile, makeModule } from '../support/adapters.js';
import { peftConfig, tensorOf } from '../support/format-bytes.js';

const P = 'base_model.model.';

const files = ({
  'adapter_config.json': json,
  'adapter_model.safetensors': bytes,
}: ReturnType<typeof writePeft>) => ({
  config: json,
  weights: bytes,
});

describe('writing', () => {
  test('mixed ranks and scales, without a config: patterns that name one layer each', () => {
    const file = makeFile([
      makeModule('l.1.q', [5, 2, 3], 0.5),
      makeModule('l.1.k', [4, 2, 3], 0.5),
      makeModule('x.l.1.q', [5, 4, 3], 2),
      makeModule('lx1.q', [3, 1, 2], 8),
      makeModule('e', [4, 2, 9], 0.5, 'embedding'),
      makeModule('c', [6, 2, 3, 3, 3], 0.5, 'conv2d', 2),
    ]);
    const again = readPeft(files(writePeft(file)));
    expectSameDelta(again, file);
    expect(again.config).toMatchObject({ r: 2, loraAlpha: 1 });
    expect([...again.config!.rankPattern]).toEqual([
      ['^x\\.l\\.1\\.q', 4],
      ['^lx1\\.q', 1],
    ]);
  });

  test('a config that still fits is kept, rsLoRA with it', () => {
    const module = { ...makeModule('q', [5, 16, 3], 4), alpha: 16 };
    const { config: rslora } = parsePeftConfig({
      ...peftConfig({ use_rslora: true }),
      r: 16,
      lora_alpha: 16,
    });
    const again = readPeft(files(writePeft(makeFile([module], { config: rslora }))));
    expect(again.config).toMatchObject({ useRslora: true, loraAlpha: 16, targetModules: ['q'] });
    expectSameDelta(again, makeFile([module]));
    const changed = { ...module, scale: 3 };
    const other = readPeft(files(writePeft(makeFile([changed], { config: rslora }))));
    expect(other.config).toMatchObject({ useRslora: false, loraAlpha: 48 });
    expectSameDelta(other, makeFile([changed]));
  });

  test('a weight that is not finite is refused by name, unless it is asked for', () => {
    const module = makeModule('q', [5, 2, 3], 1);
    module.B.data[3] = Number.NaN;
    expect(() => writePeft(makeFile([module]))).toThrow(
      "tensor 'base_model.model.q.lora_B.weight': element 3 is NaN, expected finite values",
    );
    const forced = writePeft(makeFile([module]), { allowNonFinite: true });
    expect(parseSafetensors(forced['adapter_model.safetensors']).f32(`${P}q.lora_B.weight`)[3]).toBeNaN();
  });

  test('nothing to write, and a tensor that PEFT has no name for', () => {
    expect(() => writePeft(makeFile([]))).toThrow('the adapter has no LoRA layer');
    const extras = [{ name: 'x.dora_scale', kind: 'magnitude', tensor: tensorOf([3]) }] as const;
    expect(() => writePeft(makeFile([makeModule('q', [5, 2, 3], 1)], { extras }))).toThrow(
      "cannot hold 'x.dora_scale' (magnitude, not under a name of PEFT's)",
    );
  });
});

test.each([
  makeModule('q', [5, 2, 3], -0.5),
  makeModule('e', [4, 2, 9], 3, 'embedding'),
  makeModule('c', [6, 4, 3, 2, 1], 2, 'conv2d'),
  makeModule('g', [6, 4, 3, 2, 1], 2, 'conv2d', 2),
])('the norm of the delta is that of the delta formed: $path', (module) => {
  const whole = norm(deltaWeight(module));
  expect(whole).toBeGreaterThan(1);
  expect(Math.abs(deltaNorm(module)! - whole)).toBeLessThan(whole * 1e-6);
});

test('a delta by hand: linear, embedding, and a convolution of two groups', () => {
  const pair = (a: number[], b: number[], A: number[], B: number[]) => ({
    A: { shape: a, data: Float32Array.from(A) },
    B: { shape: b, data: Float32Array.from(B) },
    r: a[0]!,
    alpha: null,
    scale: 2,
    path: '',
  });
  const plain = pair([1, 2], [3, 1], [1, 10], [1, 2, 3]);
  expect([...deltaWeight({ ...plain, kind: 'linear' }).data]).toEqual([2, 20, 4, 40, 6, 60]);
  expect([...deltaWeight({ ...plain, kind: 'embedding' }).data]).toEqual([2, 4, 6, 20, 40, 60]);
  const grouped = pair([2, 1, 1, 1], [4, 1, 1, 1], [1, 10], [1, 2, 3, 4]);
  expect([...deltaWeight({ ...grouped, kind: 'conv2d' }).data]).toEqual([2, 4, 60, 80]);
});
