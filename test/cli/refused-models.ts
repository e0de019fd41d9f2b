/** What `lora-wasm generate` and `lora-wasm eval` refuse. */

/** What is refused, the command that asks for it, and its message. */
export const REFUSED: readonly [string, readonly string[], RegExp][] = [
  ['no model', ['generate', '--prompt', 'x'], /required option '--model <path>' not specified/],
  ['no prompt', ['generate', '--model', 'tiny'], /required option '--prompt <text>' not specified/],
  ['an empty prompt', ['generate', '--model', 'tiny', '--prompt', ''], /--prompt is empty, expected a text/],
  [
    'a path to nothing',
    ['generate', '--model', 'gone', '--prompt', 'x'],
    /gone: no such file or folder, expected a model/,
  ],
  [
    'a folder without a model',
    ['generate', '--model', 'empty', '--prompt', 'x'],
    /empty.*: there is no config\.json/,
  ],
  [
    'a file that is no model',
    ['generate', '--model', 'text.txt', '--prompt', 'x'],
    /text\.txt: the file does not begin with GGUF/,
  ],
  [
    'a model without tokenizer',
    ['generate', '--model', 'bare', '--prompt', 'x'],
    /bare: the model has no tokenizer, expected one, or --tokenizer/,
  ],
  [
    '--chat without a template',
    ['generate', '--model', 'bare', '--tokenizer', 'tokenizer.json', '--chat', '--prompt', 'x'],
    /bare: the model has no chat template, expected one for --chat/,
  ],
  [
    '--system without --chat',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--system', 'y'],
    /--system is given without --chat/,
  ],
  [
    'a prompt too long',
    ['generate', '--model', 'bare', '--tokenizer', 'tokenizer.json', '--prompt', 'x'.repeat(64)],
    /: --prompt has 64 tokens, expected 1 to 63\n/,
  ],
  [
    'more tokens than the length leaves',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--max-tokens', '99999'],
    /: --max-tokens \(prompt of 1, length \d+\) is 99999, expected an integer from 1 to \d+\n/,
  ],
  ['an empty stop', ['generate', '--model', 'gone', '--prompt', 'x', '--stop', ''], /: --stop is empty/],
  ['an empty cache', ['generate', '--model', 'tiny', '--prompt', 'x', '--cache', ''], /: --cache is empty/],
  [
    'an empty tokenizer',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--tokenizer', ''],
    /: --tokenizer is '', expected a path/,
  ],
  [
    'no tokenizer at its path',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--tokenizer', 'gone'],
    /: --tokenizer: .*gone: no such file or folder, expected a tokenizer\.json\n/,
  ],
  [
    'a hash for a folder',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--sha256', '0'.repeat(64)],
    /tiny: --sha256 is given for a folder, expected it for a single file/,
  ],
  [
    'a tokenizer that is none, by its folder',
    ['generate', '--model', 'broken', '--prompt', 'x'],
    /[/\\]broken: tokenizer\.json: there is no model, expected one\n/,
  ],
  [
    'what the template refuses',
    ['generate', '--model', 'strict', '--chat', '--prompt', 'x'],
    /: strict: the template: users are not heard\n/,
  ],
  ['standard input', ['generate', '--model', '-', '--prompt', 'x'], /--model is '-', expected a path/],
  [
    'another file than the hash says',
    ['generate', '--model', 'text.txt', '--prompt', 'x', '--sha256', '0'.repeat(64)],
    /text\.txt has the SHA-256 [0-9a-f]{64}, expected 0000/,
  ],
  [
    'a hash that is none',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--sha256', 'abc'],
    /--sha256.* Expected 64 hexadecimal digits/,
  ],
  [
    'an adapter that is not there',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--adapter', 'gone:2'],
    /gone: there is no such file or folder, expected an adapter for --adapter\n/,
  ],
  [
    'an adapter that is not there, before the model is looked at',
    ['generate', '--model', 'gone', '--prompt', 'x', '--adapter', 'nowhere'],
    /: nowhere: there is no such file or folder/,
  ],
  [
    'an adapter without a name',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--adapter', ''],
    /: --adapter is empty/,
  ],
  [
    'an adapter at no finite scale',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--adapter', 'adapter:1e999'],
    /--adapter.* Its scale is 1e999, expected a finite number/,
  ],
  [
    'half a token',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--max-tokens', '1.5'],
    /--max-tokens.* Expected a whole number from 1/,
  ],
  [
    'a probability above 1',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--top-p', '1.5'],
    /--top-p.* Expected a number from 1e-9 to 1/,
  ],
  [
    'too little memory',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--max-memory', '1'],
    /: tiny: wanted \d+ bytes, .*allowed 1048576 \(--max-memory 1\)\n/,
  ],
  [
    'no data',
    ['eval', '--model', 'tiny', '--data', 'gone.txt'],
    /: gone\.txt: there is no such file, expected a text or rows of JSONL/,
  ],
  [
    'data that is a folder',
    ['eval', '--model', 'tiny', '--data', 'tiny'],
    /: tiny: is a folder, expected a text/,
  ],
  [
    'an adapter of another model',
    ['generate', '--model', 'tiny', '--prompt', 'x', '--adapter', 'other'],
    /: other.adapter_model\.safetensors: .*lora_A\.weight is \[1, 5\], expected \[1, \d+\]/,
  ],
  [
    'a row that is none',
    ['eval', '--model', 'tiny', '--data', 'wrong.jsonl'],
    /wrong\.jsonl: line 2: the object has txt, expected an object with text/,
  ],
  [
    'data without a token that counts',
    ['eval', '--model', 'tiny', '--data', 'empty.txt'],
    /empty\.txt: no token counts/,
  ],
];
