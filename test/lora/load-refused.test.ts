/**
 * Files that do not fit the model: keys, prefixes, weights of another base, targets and dtypes. Faults of the formats stand in
 * test/formats.
 */
import { expect, test } from 'vitest';
import { parseSafetensors, type WritableTensor } from '../../src/formats/index.js';
import { FormatError, Linear, type LoraLinear, LoraModel, Sequential } from '../../src/index.js';
import { changedFiles, type Tensors } from '../support/adapter-files.js';
import { stirAll } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';
import { attach, CONFIG } from '../support/two-saved.js';

const KEY = 'base_model.model.1.lora_B.weight';

describeRuntimes('saving and loading', (rt) => {
  test('missing, unexpected and renamed keys are listed; strict: false returns the lists', async () => {
    const lora = attach(rt());
    const load = (change: (tensors: Tensors) => void, options = {}) =>
      lora.loadAdapter('new', changedFiles(lora.exportAdapter(), change), options);
    const rename = (tensors: Tensors): void => {
      tensors.set('base_model.model.1.lora_Bee.weight', tensors.get(KEY)!);
      tensors.delete(KEY);
    };
    await expect(load((tensors) => tensors.delete(KEY))).rejects.toThrow(`missing [${KEY}], unexpected []`);
    await expect(
      load((tensors) => tensors.set('more', { shape: [1], data: Float32Array.of(1) })),
    ).rejects.toThrow('missing [], unexpected [more]');
    await expect(load(rename)).rejects.toThrow(
      `missing [${KEY}], unexpected [base_model.model.1.lora_Bee.weight]`,
    );
    expect(lora.adapters).toEqual(['default']);
    expect(await load(rename, { strict: false })).toMatchObject({
      missing: [KEY],
      unexpected: ['base_model.model.1.lora_Bee.weight'],
    });
  });

  test('a file of another prefix applies to nothing, which is an error; the prefix is an option', async () => {
    const lora = attach(rt());
    stirAll(rt(), lora);
    const source = changedFiles(lora.exportAdapter(), (tensors) => {
      for (const [key, tensor] of [...tensors]) {
        tensors.delete(key);
        tensors.set(key.replace('base_model.model.', 'model.'), tensor);
      }
    });
    for (const strict of [true, false])
      await expect(lora.loadAdapter('new', source, { strict })).rejects.toThrow(
        'nothing in the file applies',
      );
    await lora.loadAdapter('new', source, { prefix: 'model.' });
    expect(lora.exportAdapter('new')).toEqual(lora.exportAdapter('default'));
  });

  test("weights of the base in a file are the model's own, or the adapter is refused", async () => {
    const first = new Linear(rt(), 6, 5);
    const own = { shape: [5, 6], data: first.weight.toArray() as Float32Array<ArrayBuffer> };
    const lora = LoraModel.attach(new Sequential(first, new Linear(rt(), 5, 4)), CONFIG);
    stirAll(rt(), lora);
    const carry = (key: string, tensor: WritableTensor) =>
      changedFiles(lora.exportAdapter(), (tensors) => tensors.set(`base_model.model.${key}`, tensor));
    lora.merge();
    for (const [name, key] of [
      ['wrapped', '0.base_layer.weight'],
      ['plain', '0.weight'],
    ] as const) {
      await lora.loadAdapter(name, carry(key, own));
      expect(lora.exportAdapter(name)).toEqual(lora.exportAdapter('default'));
    }
    const other = { ...own, data: own.data.map((v) => v + 1) };
    await expect(lora.loadAdapter('new', carry('0.base_layer.weight', other))).rejects.toThrow(
      "0.base_layer.weight has other values than the base's, expected the base that the adapter was trained over",
    );
    const longer = { shape: [6, 6], data: new Float32Array(36) };
    await expect(lora.loadAdapter('new', carry('0.base_layer.weight', longer))).rejects.toThrow(
      "is [6, 6] and the base's is [5, 6]",
    );
    const report = await lora.loadAdapter('new', carry('0.weight', other), { strict: false });
    expect(report.unexpected).toEqual(['base_model.model.0.weight']);
  });

  test('targets and patterns of a file that match nothing: an error, or listed; one layer at least', async () => {
    const lora = attach(rt());
    const files = changedFiles(lora.exportAdapter(), () => {});
    const config = {
      ...files.config,
      target_modules: ['0', '1', 'nix'],
      rank_pattern: { gone: 3 },
    };
    await expect(lora.loadAdapter('new', { ...files, config })).rejects.toThrow(
      "target 'nix' matches no layer",
    );
    const report = await lora.loadAdapter('new', { ...files, config }, { strict: false });
    expect(report.unmatched).toEqual(["target 'nix'", "rankPattern key 'gone'"]);
    expect(lora.report().adapters[1]!.unmatched).toEqual(report.unmatched);
    await expect(
      lora.loadAdapter(
        'none',
        { ...files, config: { ...config, target_modules: ['nix'] } },
        { strict: false },
      ),
    ).rejects.toThrow('expected at least one');
  });

  test('a tensor of another dtype and a value that is not finite are refused by name', async () => {
    const lora = attach(rt());
    const wrong = changedFiles(lora.exportAdapter(), (tensors) =>
      tensors.set(KEY, { shape: [4, 2], data: new Int32Array(8) }),
    );
    await expect(lora.loadAdapter('new', wrong)).rejects.toThrow(`tensor '${KEY}' is I32`);
    expect(lora.adapters).toEqual(['default']);
    const { B } = (lora.model.layers[1] as unknown as LoraLinear).factors('default');
    B.set(B.toArray().fill(Number.NaN, 0, 1));
    expect(() => lora.exportAdapter()).toThrow(FormatError);
    expect(() => lora.exportAdapter()).toThrow(KEY);
    const forced = lora.exportAdapter('default', { allowNonFinite: true });
    expect(parseSafetensors(forced['adapter_model.safetensors']).f32(KEY)[0]).toBeNaN();
  });
});
