/** The demo's data: spellings and phonemes out of the CMU dictionary, and words to be tested on that share no stem with what is learnt. */
import { dictionary } from 'cmu-pronouncing-dictionary';

/** A word and how it is said, in ARPAbet without stress. */
export interface Word {
  readonly spelling: string;
  readonly phonemes: readonly string[];
}

/** What a word begins with that says nothing of its stem. */
const BEGINNINGS =
  /^(?:counter|under|over|inter|fore|mis|out|pre|pro|dis|non|sub|un|re|de|en|in|im|be|up|ex|co|ac|ad|ap)(?=.{3})/;
/** Letters of a stem that are compared. */
const STEM = 4;

/**
 * Verbs of three to six letters with one pronunciation: words that the dictionary also has with -s and with -ing. So there are no
 * surnames among them, and no forms of one another.
 */
function verbs(): Word[] {
  const has = (spelling: string): boolean => dictionary[spelling] !== undefined;
  return Object.entries(dictionary).flatMap(([spelling, said]): Word[] => {
    const ing = [`${spelling}ing`, `${spelling.replace(/e$/, '')}ing`, `${spelling}${spelling.at(-1)}ing`];
    const fits = /^[a-z]{3,6}$/.test(spelling) && !has(`${spelling}(2)`);
    if (!fits || /(?:ing|ed|s)$/.test(spelling) || !has(`${spelling}s`) || !ing.some(has)) return [];
    return [{ spelling, phonemes: said.replace(/\d/g, '').split(' ') }];
  });
}

/** Whether two words may have a stem in common: the same letters at the beginning, or behind un-, re- and the like; or one in the other. */
export function related(a: string, b: string): boolean {
  const stems = (word: string): string[] =>
    [word, word.replace(BEGINNINGS, '')].map((one) => one.slice(0, STEM));
  const own = stems(a);
  return stems(b).some((stem) => own.includes(stem)) || a.includes(b) || b.includes(a);
}

/** Words to learn, to measure the loss on, and to be tested on: no word of one list is related to one of another. */
export interface Words {
  readonly train: readonly Word[];
  readonly valid: readonly Word[];
  readonly test: readonly Word[];
}

/** Draws them; the same seed gives the same words. */
export function drawWords(
  sizes: { readonly train: number; readonly test: number },
  random: () => number,
): Words {
  const all = shuffled(verbs(), random);
  const test: Word[] = [];
  // Neither is a tested word a variant of another one: each tests something of its own.
  for (const word of all) {
    if (test.length === sizes.test) break;
    if (!test.some(({ spelling }) => related(spelling, word.spelling))) test.push(word);
  }
  const apart =
    (from: readonly Word[]) =>
    (word: Word): boolean =>
      !from.some(({ spelling }) => related(spelling, word.spelling));
  const valid = all.filter(apart(test)).slice(0, 64);
  const train = all.filter(apart([...test, ...valid])).slice(0, sizes.train);
  return { train, valid, test };
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const own = [...values];
  for (let left = own.length; left > 1; left--) {
    const chosen = Math.floor(random() * left);
    [own[left - 1], own[chosen]] = [own[chosen]!, own[left - 1]!];
  }
  return own;
}

/** What is asked: the word letter by letter, since a token of several letters hides its spelling. */
export function promptOf({ spelling }: Word): string {
  return `Say ${[...spelling].join(' ')}:`;
}

/** What is to be answered. */
export function answerOf({ phonemes }: Word): string {
  return ` ${phonemes.join(' ')}`;
}

/** How well words were said. */
export interface Score {
  /** Share of words that are right to the last phoneme. */
  readonly right: number;
  /** Phonemes to insert, delete or replace, as a share of those that there should be. */
  readonly errorRate: number;
}

export function score(words: readonly Word[], answers: readonly string[]): Score {
  let [right, errors, phonemes] = [0, 0, 0];
  for (const [i, word] of words.entries()) {
    const answer = answers[i]!.trim().split(/\s+/);
    const distance = editDistance(word.phonemes, answer);
    right += Number(distance === 0);
    errors += distance;
    phonemes += word.phonemes.length;
  }
  return { right: right / words.length, errorRate: errors / phonemes };
}

/** Levenshtein's distance. */
export function editDistance(a: readonly string[], b: readonly string[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, one] of a.entries()) {
    const next = [i + 1];
    for (const [j, other] of b.entries())
      next.push(Math.min(row[j]! + Number(one !== other), row[j + 1]! + 1, next[j]! + 1));
    row = next;
  }
  return row.at(-1)!;
}
