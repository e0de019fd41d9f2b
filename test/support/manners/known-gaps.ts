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
  // The config that it is given is read by parsePeftConfig.
  'LoraModel.loadAdapter',
];

export const KNOWN_GAPS: readonly string[] = [...FORMATS];
