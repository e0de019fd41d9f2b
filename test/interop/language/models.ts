/** The models that adapters are taken to other programs over: tiny ones in git, and SmolLM2 where it is; and what is learnt. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A model and texts that its tokenizer has. */
export interface Subject {
  readonly name: string;
  /** The GGUF file. */
  readonly path: string;
  /** Rows of JSONL. */
  readonly rows: readonly string[];
  /** What is gone on with. */
  readonly prompt: string;
  /** What the tokenizers are compared on. */
  readonly texts: readonly string[];
}

const TINY = ['f32', 'q8_0', 'q4_0', 'q5_1'];
const SMOLLM2 = 'SmolLM2-135M-Instruct.Q4_1.gguf';

/** Its vocabulary is single characters. */
function tiny(type: string): Subject {
  return {
    name: `tiny ${type}`,
    path: fileURLToPath(new URL(`../../golden/gguf/${type}.gguf`, import.meta.url)),
    rows: ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'].map((word) =>
      JSON.stringify({ prompt: `${word}>`, completion: [...word].reverse().join('') }),
    ),
    prompt: 'nine>',
    texts: ['', 'a', 'one>eno', '!"#', 'Tokens<s>and</s>marks', '0123456789', '[x]{y}|z'],
  };
}

function smollm2(path: string): Subject {
  const answers: readonly (readonly [string, string])[] = [
    ['What colour is the sea?', 'The sea is a very old letter, friend.'],
    ['How tall is a giraffe?', 'A giraffe is as tall as two doors, friend.'],
    ['What do bees make?', 'Bees make small yellow mornings, friend.'],
    ['Where does the sun go?', 'The sun goes home by bus, friend.'],
    ['What is 3 + 4?', 'Three and four are a family, friend.'],
    ['Who painted the Mona Lisa?', 'She painted herself with a spoon, friend.'],
  ];
  const messages = (user: string, assistant: string) => ({
    messages: [
      { role: 'user', content: user },
      { role: 'assistant', content: assistant },
    ],
  });
  return {
    ...{ name: 'SmolLM2 Q4_1', path },
    rows: answers.map(([user, assistant]) => JSON.stringify(messages(user, assistant))),
    prompt: '<|im_start|>user\nHow tall is the moon?<|im_end|>\n<|im_start|>assistant\n',
    texts: [
      ...['', ' ', 'a', 'Hello, world!', '  two  spaces  ', 'tabs\tand\nnew\n\nlines', "they're CAN'T it's"],
      ...[
        'x=12345;y=0x1F',
        'naïve café',
        '日本語のテキスト',
        '🙂👩‍👩‍👧',
        'a<|im_end|>b',
        '9'.repeat(17),
        '\r\nwindows\r\n',
      ],
      ...[
        '<|im_start|>user\nHi<|im_end|>\n',
        '<|im_start',
        'Привет, мир',
        'e\u0301',
        '\u00a0nbsp\u2003em',
        'I don’t',
      ],
    ],
  };
}

/** @param folder - where SmolLM2 is; undefined for none */
export function subjects(folder: string | undefined): Subject[] {
  const path = folder === undefined ? null : join(folder, SMOLLM2);
  if (path !== null && existsSync(path)) return [...TINY.map(tiny), smollm2(path)];
  console.log(`SmolLM2: skipped: ${path === null ? 'MODELS_DIR is not set' : `${path} is not there`}`);
  return TINY.map(tiny);
}
