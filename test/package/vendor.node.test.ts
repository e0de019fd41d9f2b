/** What the build leaves out of other people's code changes nothing of what is used of it. */
import fc from 'fast-check';
import { Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import type { CompiledPattern } from '../../src/vendor/re2js.js';

interface Built {
  readonly matrix: typeof import('../../src/vendor/ml-matrix.js');
  readonly engine: typeof import('../../src/vendor/re2js.js');
}

const dist = new URL('../../dist/vendor/', import.meta.url).href;
const built: Built = { matrix: await import(`${dist}ml-matrix.js`), engine: await import(`${dist}re2js.js`) };

test('decompositions have the bits of the whole ml-matrix', () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
  const value = fc.oneof(fc.constant(0), fc.double({ min: -1e6, max: 1e6, noNaN: true }));
  const matrices = sizes.chain(([rows, columns]) =>
    fc.tuple(
      fc.constant(rows),
      fc.constant(columns),
      fc.array(value, { minLength: rows * columns, maxLength: rows * columns }),
    ),
  );
  const valuesOf = (m: Matrix): number[] =>
    Array.from({ length: m.rows * m.columns }, (_, i) => m.get(Math.floor(i / m.columns), i % m.columns));
  const decompose = (from: Built['matrix'], rows: number, columns: number, values: number[]) => {
    const svd = new from.SingularValueDecomposition(from.Matrix.from1DArray(rows, columns, values), {
      autoTranspose: true,
    });
    const [left, right] = [svd.leftSingularVectors, svd.rightSingularVectors].map(valuesOf);
    const Q = new from.QrDecomposition(from.Matrix.from1DArray(rows, columns, values)).orthogonalMatrix;
    return { left, right, diagonal: svd.diagonal, Q: rows < columns ? null : valuesOf(Q) };
  };
  fc.assert(
    fc.property(matrices, ([rows, columns, values]) => {
      const whole = { Matrix, QrDecomposition, SingularValueDecomposition };
      if (rows < columns) return;
      expect(decompose(built.matrix, rows, columns, values)).toEqual(decompose(whole, rows, columns, values));
    }),
    { numRuns: 200 },
  );
});

describe("patterns with Unicode's classes match what they match in the whole RE2JS", () => {
  /** What this engine's Unicode has no character at may be one in RE2JS's, which is newer or older. */
  const known = Array.from({ length: 0x110000 }, (_, code) => code).filter(
    (code) => /^\P{Cn}$/u.test(String.fromCodePoint(code)) && (code < 0xd800 || code > 0xdfff),
  );
  /** Of ideographs, Hangul and private use, tens of thousands of one kind each, fewer. */
  const some = known.filter(
    (code, i) =>
      code < 0x600 ||
      i % (/[\p{Co}\p{scx=Han}\p{scx=Hangul}]/u.test(String.fromCodePoint(code)) ? 101 : 7) === 0,
  );

  test.each([
    '\\pL',
    '\\p{Lu}',
    '(?i)\\p{Lu}',
    '(?i)\\p{Ll}',
    '\\PN',
    '\\p{Greek}',
    '(?i)\\p{Greek}',
    '\\p{Han}',
    '\\P{Cyrillic}',
    '\\p{P}',
    '\\p{Zs}',
    '\\p{Alphabetic}',
    '[\\p{Latin}\\d_.]',
    '(?i)[k-ſ]',
    '\\w',
    '(?i)é',
    '[^\\p{S}]',
  ])('%s', (pattern) => {
    const [here, there] = [built.engine.RE2JS, RE2JS].map((engine) => engine.compile(pattern));
    const differ = some.filter((code) => {
      const text = String.fromCodePoint(code);
      return here!.matcher(text).matches() !== there!.matcher(text).matches();
    });
    // A few characters have moved to another class from one Unicode to the next.
    expect(differ.length).toBeLessThan(4);
  });

  test('a name that nobody knows is refused by both', () => {
    for (const engine of [built.engine.RE2JS, RE2JS])
      expect(() => engine.compile('\\p{Klingon}')).toThrow('invalid character class range');
  });
});

describe('random patterns are read and matched as by the whole RE2JS', () => {
  const signs = ['a', 'b', 'A', '1', '_', '.', '-', '\n', 'é', 'ß', 'K', '😀'];
  const names = fc.array(fc.constantFrom(...signs), { maxLength: 12 }).map((parts) => parts.join(''));
  const parts = String.raw`a b ab \. . \d \w \W \s [ab] [^a.] [a-z_] [[:alpha:]] \pL \Q.-\E ^ $ \b \B \A \z é 😀 \x{e9}`;
  const flags = '(?i) (?s) (?m) (?U) (?i:k) (?s:.) (?i)ß';
  const atoms = fc.constantFrom('', ...parts.split(' '), ...flags.split(' '));
  const repeats = fc.constantFrom('*', '+', '?', '*?', '+?', '??', '{2}', '{0,2}', '{1,}?', '{3,1}', '**');
  const { pattern } = fc.letrec<{ pattern: string; joined: string; group: string; repeated: string }>(
    (tie) => ({
      pattern: fc.oneof({ maxDepth: 5 }, atoms, tie('joined'), tie('group'), tie('repeated')),
      joined: fc
        .tuple(tie('pattern'), fc.constantFrom('', '', '|'), tie('pattern'))
        .map(([left, between, right]) => left + between + right),
      group: fc
        .tuple(fc.constantFrom('(', '(?:', '(?P<index>', '(?<other>', '(?=', '(?<!'), tie('pattern'))
        .map(([open, inside]) => `${open}${inside})`),
      repeated: fc.tuple(tie('pattern'), repeats).map(([what, times]) => `(?:${what})${times}`),
    }),
  );
  const noise = fc
    .array(fc.constantFrom(...'ab.*+?()[]{}|\\^$<>P:=!-,019pLQxk'), { maxLength: 10 })
    .map((parts) => parts.join(''));

  /** What src/patterns/ asks of an engine: the groups' names, whole names, beginnings and the groups in them. */
  function answers(engine: Built['engine']['RE2JS'], source: string, texts: readonly string[]): unknown {
    let compiled: CompiledPattern;
    try {
      compiled = engine.compile(source);
    } catch (error) {
      return String(error);
    }
    const groups = { ...compiled.namedGroups() };
    return [
      groups,
      ...texts.map((text) => {
        const whole = compiled.matcher(text).matches();
        const matcher = compiled.matcher(text);
        if (!matcher.lookingAt()) return [whole];
        return [whole, matcher.group(0), ...Object.keys(groups).map((name) => matcher.group(name))];
      }),
    ];
  }

  test.each([
    ['made of parts', pattern, 3000],
    ['of any signs', noise, 1000],
  ])('%s', (_, patterns, numRuns) => {
    fc.assert(
      fc.property(patterns, fc.array(names, { minLength: 4, maxLength: 4 }), (source, texts) => {
        const here = answers(built.engine.RE2JS, source, texts);
        expect(here).toEqual(answers(RE2JS, source, texts));
      }),
      { numRuns },
    );
  });
});

test('the time of a match grows by the length alone where backtracking would double with every character', () => {
  const text = 'a'.repeat(1024);
  for (const pattern of ['(?:a|aa)+b', '(?:a*)*b', '(?:(?:a+)+)+b', '(?:a?){200}a{200}b'])
    expect(built.engine.RE2JS.compile(pattern).matcher(text).matches()).toBe(false);
  expect(built.engine.RE2JS.compile('(?:a?){500}a{600}').matcher(text).matches()).toBe(true);
});
