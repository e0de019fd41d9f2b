/**
 * Exports that still answer some wrong calls with a native error, or with one that names another function. The list only
 * gets shorter: what leaves it is held from then on.
 */

const FORMATS = [
  ...[
    'convert',
    'deltaNorm',
    'deltaWeight',
    'norm',
    'baseFromConfig',
    'baseFromGguf',
    'openGguf',
    'readGguf',
    'writeGguf',
  ],
  ...[
    'kohyaName',
    'readKohya',
    'writeKohya',
    'readLoralib',
    'writeLoralib',
    'readMlx',
    'writeMlx',
    'parsePeftConfig',
  ],
  ...[
    'formatPeftConfig',
    'peftKey',
    'readPeft',
    'writePeft',
    'detectFormat',
    'readAdapter',
    'parseSafetensors',
  ],
  ...[
    'openSafetensors',
    'writeSafetensors',
    'SafetensorsFile.bytes',
    'SafetensorsFile.array',
    'SafetensorsFile.f32',
  ],
  ...[
    'SafetensorsIndex.info',
    'LazySafetensorsFile.bytes',
    'LazySafetensorsFile.array',
    'LazySafetensorsFile.f32',
  ],
];

const OTHERS = [
  ...['conv2d', 'defineOperation', 'defineOperation()', 'embedding', 'layerNorm', 'maxPool2d', 'reshape'],
  ...['writeAtomic', 'saveAdapter', 'openSafetensorsFile'],
  ...[
    'new Conv2d',
    'new Embedding',
    'new LayerNorm',
    'new Linear',
    'new Dropout',
    'LoraModel.loadAdapter',
    'Tensor.set',
  ],
  ...[
    'Runtime.memory',
    'Runtime.tensor',
    'Runtime.zeros',
    'Runtime.full',
    'Runtime.uniform',
    'Runtime.normal',
  ],
  ...[
    'LoraModel.setAdapter',
    'LoraModel.setScale',
    'LoraModel.setTrainable',
    'LoraModel.merge',
    'LoraModel.unmerge',
  ],
  ...[
    'Module.stateDict',
    'Tensor.backward',
    'Flatten.forward',
    'GELU.forward',
    'ReLU.forward',
    'Tanh.forward',
  ],
  ...[
    'Sigmoid.forward',
    'LoraLayer.factors',
    'LoraLayer.setScale',
    'LoraLayer.deltaWeight',
    'LoraLayer.merge',
  ],
];

export const KNOWN_GAPS: readonly string[] = [...FORMATS, ...OTHERS];
