/** The table of the other programs' names: what a writer writes its reader finds, and no reader takes another's for its own. */
import { expect, test } from 'vitest';
import { factorName, factorOf } from '../../src/formats/factor-names.js';

const NAMES = {
  kohya: ['q.lora_down.weight', 'q.lora_up.weight'],
  loralib: ['q.lora_A', 'q.lora_B'],
  mlx: ['q.lora_a', 'q.lora_b'],
  gguf: ['q.lora_a', 'q.lora_b'],
} as const;
const FORMATS = ['kohya', 'loralib', 'mlx', 'gguf'] as const;

test.each(FORMATS)('%s: a factor’s name, and the way back', (format) => {
  for (const [i, half] of (['A', 'B'] as const).entries()) {
    expect(factorName(format, 'q', half)).toBe(NAMES[format][i]);
    const path = 'x.lora_A.lora_a\n.lora_down.weight';
    expect(factorOf(format, factorName(format, path, half))).toEqual({ path, half });
  }
});

test.each(FORMATS)('%s: a name without a layer before it, and one with more behind, is none', (format) => {
  for (const name of NAMES[format]) {
    expect(factorOf(format, name.slice(1)), name).toBeNull();
    expect(factorOf(format, `${name}.weight`), name).toBeNull();
  }
});

test('MLX and GGUF alone share their names, and neither is in a file of the other’s kind', () => {
  for (const format of FORMATS)
    for (const other of FORMATS)
      if (NAMES[format].join() !== NAMES[other].join())
        for (const name of NAMES[other]) expect(factorOf(format, name), `${format} ${name}`).toBeNull();
});
