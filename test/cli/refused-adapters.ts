/** What `lora-wasm inspect` and `lora-wasm convert` refuse. */

/** Commands, and the line that says which file is wrong, or what to do. */
export const NAMED: readonly (readonly [readonly string[], RegExp])[] = [
  [['inspect', 'package.json'], /^lora-wasm: package\.json: the header has \d+ bytes, .*no safetensors$/],
  [['inspect', 'cut.safetensors'], /^lora-wasm: cut\.safetensors: /],
  [['inspect', 'plain.safetensors'], /^lora-wasm: plain\.safetensors: no tensor/],
  [['inspect', 'wrong'], /^lora-wasm: wrong.adapter_config\.json: peft_type is "IA3"/],
  [['convert', 'cut.safetensors', 'y', '--to', 'mlx'], /^lora-wasm: cut\.safetensors: /],
  [
    ['convert', 'peft', 'y', '--to', 'mlx', '--base', 'package.json'],
    /^lora-wasm: package\.json: model_type is/,
  ],
  [
    ['convert', 'peft', 'y', '--to', 'mlx', '--base', 'cut.gguf'],
    /^lora-wasm: cut\.gguf: the file does not begin/,
  ],
  [
    ['inspect', 'https://example.org/a.safetensors'],
    /^lora-wasm: https:\/\/example\.org\/a\.safetensors: is a URL/,
  ],
  [['convert', 'peft', 'https://example.org/a', '--to', 'kohya'], /: is a URL, expected a path/],
  [['convert', 'peft', '-', '--to', 'kohya'], /^lora-wasm: OUT is '-', expected a path/],
  [['inspect', '-'], /^lora-wasm: IN is '-', expected a path/],
  [['inspect'], /; lora-wasm inspect --help shows the usage$/],
  [['convert', 'peft', 'y', '--to', 'onnx'], /; lora-wasm convert --help shows the usage$/],
  [['adapt'], /; lora-wasm --help shows the usage$/],
];

/** Commands that are refused, and a part of the one line that says why. */
export const REFUSED: readonly (readonly [readonly string[], string])[] = [
  [[], 'no command, expected one of inspect, convert, train, merge, generate, eval'],
  [['inspect'], "missing required argument 'in'"],
  [['inspect', 'nothing'], 'nothing: there is no such file or folder'],
  [['inspect', 'bin'], 'a pickle can run code'],
  [['inspect', 'bin/adapter_model.bin'], 'a pickle can run code'],
  [['inspect', 'empty'], 'the folder has no adapter_model.safetensors'],
  [['inspect', 'cut.safetensors'], 'the file is cut short'],
  [['inspect', 'plain.safetensors'], 'no tensor has a name of a LoRA factor'],
  [['inspect', 'peft', '--colour'], "unknown option '--colour'"],
  [['melt', 'peft'], "unknown command 'melt'"],
  [['convert', 'peft', 'y'], "required option '--to <format>' not specified"],
  [['convert', 'peft', 'y', '--to', 'onnx'], 'Allowed choices are peft, mlx, gguf, kohya, loralib'],
  [['convert', 'peft', 'y', '--to', 'mlx', '--alpha', '-1'], 'Expected a number above 0'],
  [['convert', 'peft', 'y', '--to', 'mlx', '--alpha', '4'], 'adapter_config.json has its own'],
  [['convert', 'peft', 'y', '--to', 'gguf'], "which needs the base's heads"],
  [['convert', 'peft', 'y', '--to', 'gguf', '--base', 'nowhere'], 'nowhere: there is no such file'],
  [['convert', 'peft', 'base', '--to', 'kohya'], 'base: is a folder, expected a file for kohya'],
  [['convert', 'peft', 'cut.safetensors', '--to', 'mlx'], 'cut.safetensors: is a file, expected a folder'],
];
