/** What PEFT's folders hold, as PEFT 0.21.2 writes it when it runs: spellings, saved modules, trained biases, numbered layers. */
import { expect, test } from 'vitest';
import { parseSafetensors } from '../../src/formats/index.js';
import {
  AdapterError,
  type AdapterFiles,
  Embedding,
  FormatError,
  Linear,
  type LoraConfig,
  LoraModel,
  Module,
  type Runtime,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { changedFiles, type Tensors } from '../support/adapter-files.js';
import { describeRuntimes } from '../support/runtimes.js';

/** A list at the root, and two modules of which one's name ends with the other's. */
class Net extends Module {
  readonly wte: Embedding;
  readonly layers: Linear[];
  readonly preclassifier: Linear;
  readonly classifier: Linear;

  constructor(rt: Runtime) {
    super();
    this.wte = new Embedding(rt, 7, 6);
    this.layers = [new Linear(rt, 6, 6), new Linear(rt, 6, 6)];
    this.preclassifier = new Linear(rt, 6, 6);
    this.classifier = new Linear(rt, 6, 3);
  }

  override forward(ids: Tensor): Tensor {
    const deep = this.layers.reduce((x, layer) => tanh(layer.forward(x)), this.wte.forward(ids));
    return this.classifier.forward(tanh(this.preclassifier.forward(deep)));
  }
}

/** A net whose `blocks` hold blocks, for names with a number in the middle. */
class Blocks extends Module {
  readonly blocks: Net[];

  constructor(rt: Runtime) {
    super();
    this.blocks = [new Net(rt), new Net(rt)];
  }

  override forward(ids: Tensor): Tensor {
    return this.blocks[0]!.forward(ids);
  }
}

const PREFIX = 'base_model.model.';

function push(rt: Runtime, lora: LoraModel): void {
  for (const parameter of lora.trainableParameters()) {
    const by = rt.scope(() => rt.normal(parameter.shape, 0.3).toArray());
    parameter.set(Float32Array.from(parameter.toArray(), (value, i) => value + by[i]!));
  }
}

function outputs(rt: Runtime, lora: LoraModel): number[] {
  const ids = Int32Array.of(0, 3, 6, 2);
  return rt.scope(() =>
    rt.noGrad(() => [
      ...lora
        .eval()
        .forward(rt.tensor(ids, [4]))
        .toArray(),
    ]),
  );
}

/** The files with other fields in the config, and tensors beside their own. */
function changed(
  files: AdapterFiles,
  fields: object,
  tensors: Readonly<Record<string, { shape: number[]; data: Float32Array }>> = {},
): { config: object; weights: Uint8Array } {
  const add = (own: Tensors): void => {
    for (const [key, tensor] of Object.entries(tensors)) own.set(key, tensor);
  };
  return changedFiles(files, add, fields);
}

function keysOf(files: AdapterFiles): string[] {
  return parseSafetensors(files['adapter_model.safetensors']).names.map((name) => name.slice(PREFIX.length));
}

const attach = (rt: Runtime, config: Partial<LoraConfig>): LoraModel<Net> =>
  LoraModel.attach(new Net(rt), { r: 2, targetModules: ['layers.0', 'wte'], ...config });

describeRuntimes("PEFT's folders", (rt) => {
  test('OLoRA in any case takes the factors out of the base before it loads', async () => {
    const lora = attach(rt(), { initLoraWeights: 'olora' });
    push(rt(), lora);
    const wanted = outputs(rt(), lora);
    const files = lora.exportAdapter('default', { convert: false });
    for (const word of ['OLoRA', 'OLORA', 'olora']) {
      await lora.loadAdapter(word, changed(files, { init_lora_weights: word }));
      lora.setAdapter(word);
      expect(outputs(rt(), lora)).toEqual(wanted);
    }
    // The factors alone are another adapter: the word has an effect.
    await lora.loadAdapter('plain', changed(files, { init_lora_weights: true }));
    lora.setAdapter('plain');
    expect(Math.max(...outputs(rt(), lora).map((y, i) => Math.abs(y - wanted[i]!)))).toBeGreaterThan(1e-2);
    expect(() => attach(rt(), { initLoraWeights: 'Gaussian' as 'gaussian' })).not.toThrow();
  });

  test('a word that PEFT does not know is refused with the words there are', async () => {
    const lora = attach(rt(), {});
    const files = lora.exportAdapter();
    for (const word of ['PiSSA', 'Orthogonal', 'pissa_niter_', 'EVA', 'kaiming', '', 1]) {
      const loading = lora.loadAdapter('new', changed(files, { init_lora_weights: word }));
      await expect(loading).rejects.toThrow(FormatError);
      await expect(loading).rejects.toThrow(
        /init_lora_weights is .*expected one of true, false, gaussian, eva/,
      );
      const attaching = (): unknown => attach(rt(), { initLoraWeights: word as 'pissa' });
      expect(attaching).toThrow(/initLoraWeights is .*expected true, false, 'gaussian', 'orthogonal'/);
    }
    for (const [field, word] of [
      ['bias', 'boft_only'],
      ['task_type', 'SEQ_CLASS'],
    ] as const) {
      const loading = lora.loadAdapter('new', changed(files, { [field]: word }));
      await expect(loading).rejects.toThrow(new RegExp(`${field} is "${word}", expected one of`));
    }
    expect(lora.adapters).toEqual(['default']);
  });

  test('a MiCA adapter is refused for what it is, in any case', async () => {
    const lora = attach(rt(), {});
    for (const word of ['mica', 'MiCA', 'MICA']) {
      const loading = lora.loadAdapter('new', changed(lora.exportAdapter(), { init_lora_weights: word }));
      await expect(loading).rejects.toThrow(AdapterError);
      await expect(loading).rejects.toThrow(
        'init_lora_weights is "mica": a MiCA adapter trains lora_A over a frozen lora_B',
      );
      expect(() => attach(rt(), { initLoraWeights: word as 'pissa' })).toThrow('it freezes lora_B');
    }
  });

  test('an entry of modulesToSave saves every module whose name ends with it', async () => {
    const lora = attach(rt(), { modulesToSave: ['classifier'] });
    push(rt(), lora);
    const wanted = outputs(rt(), lora);
    const files = lora.exportAdapter();
    expect(keysOf(files)).toEqual(expect.arrayContaining(['classifier.weight', 'preclassifier.weight']));
    await lora.loadAdapter('again', files);
    lora.setAdapter('again');
    expect(outputs(rt(), lora)).toEqual(wanted);
  });

  test('a saved module that neither the model nor the file has is a warning', async () => {
    const lora = attach(rt(), { modulesToSave: ['classifier'] });
    const files = lora.exportAdapter();
    const listed = { modules_to_save: ['classifier', 'score'], task_type: 'SEQ_CLS' };
    const report = await lora.loadAdapter('again', changed(files, listed));
    expect(report.warnings).toEqual([
      "LoraModel.loadAdapter: saved module 'score' is neither in the model nor in the file",
    ]);
    expect(lora.report().adapters[1]!.notes).toContain("saved module 'score' matches no module");
    // In the file and not in the model it is a key that fits nothing; what the caller lists himself is a mistake.
    const score = { shape: [3, 6], data: new Float32Array(18) };
    await expect(
      lora.loadAdapter('new', changed(files, listed, { [`${PREFIX}score.weight`]: score })),
    ).rejects.toThrow(`unexpected [${PREFIX}score.weight]`);
    expect(() => attach(rt(), { modulesToSave: ['score'] })).toThrow(
      "saved module 'score' matches no module",
    );
  });

  test('saved modules that are adapted, or lie in each other, are refused as PEFT refuses them', () => {
    const adapted = { targetModules: ['layers.0', 'preclassifier'], modulesToSave: ['classifier'] };
    expect(() => attach(rt(), adapted)).toThrow("saved module 'preclassifier' is adapted");
    const nested = { r: 2, targetModules: ['blocks.0.wte'], modulesToSave: ['blocks.1', '1.classifier'] };
    expect(() => LoraModel.attach(new Blocks(rt()), nested)).toThrow(
      "saved module 'blocks.1.classifier' lies in 'blocks.1', which is saved too",
    );
    const holding = { r: 2, targetModules: ['blocks.1.classifier'], modulesToSave: ['ocks.1'] };
    expect(() => LoraModel.attach(new Blocks(rt()), holding)).toThrow(
      "saved module 'blocks.1' holds 'blocks.1.classifier', which is adapted",
    );
  });

  test('biases that PEFT writes a second time, from within its wrapper of a saved module, load', async () => {
    for (const bias of ['all', 'lora_only'] as const) {
      const lora = attach(rt(), { bias, modulesToSave: ['classifier'] });
      const original = lora.model.classifier.bias!.shape;
      push(rt(), lora);
      const wanted = outputs(rt(), lora);
      const own = Float32Array.from(lora.model.classifier.bias!.toArray());
      const base = lora.withAdaptersDisabled(() => Float32Array.from(lora.model.classifier.bias!.toArray()));
      const copies = {
        [`${PREFIX}classifier.modules_to_save.bias`]: { shape: [...original], data: own },
        [`${PREFIX}classifier.original_module.bias`]: { shape: [...original], data: base },
      };
      await lora.loadAdapter('again', changed(lora.exportAdapter(), {}, copies));
      lora.setAdapter('again');
      expect(outputs(rt(), lora)).toEqual(wanted);
      const other = {
        ...copies[`${PREFIX}classifier.original_module.bias`]!,
        data: base.map((value) => value + 1),
      };
      const strange = { ...copies, [`${PREFIX}classifier.original_module.bias`]: other };
      await expect(lora.loadAdapter('new', changed(lora.exportAdapter(), {}, strange))).rejects.toThrow(
        'expected the base that the adapter was trained over',
      );
    }
  });

  test('layersPattern: a list at the root, several patterns, none, and a pattern that divides', () => {
    const paths = (config: Partial<LoraConfig>): readonly string[] =>
      LoraModel.attach(new Blocks(rt()), { r: 2, targetModules: ['classifier'], ...config }).report().wrapped;
    const all = ['blocks.0.classifier', 'blocks.1.classifier'];
    const only = [all[1]];
    for (const layersPattern of ['blocks', ['blocks'], ['h', 'blocks'], ['h|blocks']])
      expect(paths({ layersToTransform: [1], layersPattern })).toEqual(only);
    // Nothing stands between the beginning and `blocks`, which PEFT asks for where there is no pattern.
    for (const layersPattern of ['', [], null])
      expect(() => paths({ layersToTransform: [1], layersPattern })).toThrow('leave no layer');
    // As text between others, the first half stands alone and gives no number.
    expect(() => paths({ layersToTransform: [1], layersPattern: 'blocks|h' })).toThrow('leave no layer');
    for (const layersPattern of ['', []]) {
      expect(paths({ layersPattern })).toEqual(all);
      expect(() => paths({ targetModules: '.*classifier', layersPattern })).toThrow(
        'layersPattern with a pattern as targetModules',
      );
    }
    expect(paths({ layersToTransform: [], layersPattern: 'blocks' })).toEqual(all);
    expect(paths({ excludeModules: '' })).toEqual(all);
  });

  test('errors of rank name the layer', () => {
    expect(() => attach(rt(), { initLoraWeights: 'pissa', rankPattern: { 'layers.0': 9 } })).toThrow(
      "LoraModel.attach: layers.0: initLoraWeights 'pissa': r is 9 on a weight of [6, 6], expected at most 6",
    );
    expect(() => attach(rt(), { initLoraWeights: 'olora', r: 7 })).toThrow('layers.0: initLoraWeights');
    expect(() => attach(rt(), { initLoraWeights: 'orthogonal', r: 3 })).toThrow(
      "layers.0: initLoraWeights 'orthogonal': r is 3, expected an even rank",
    );
    expect(() => attach(rt(), { initLoraWeights: 'pissa', loraAlpha: 0 })).toThrow('layers.0: ');
  });
});
