/**
 * Unicode's categories, properties and scripts as RE2JS holds them, asked of the engine when a pattern names one. The build
 * puts them in the place of RE2JS's own tables, which are a third of it; those of the simple case folds stay.
 */
const LAST = 0x10ffff;

/** What has no name of its own in the engine's regular expressions. */
const CLASSES: Readonly<Record<string, string>> = {
  Unknown: '[\\p{Cn}\\p{Co}\\p{Cs}]',
};

/**
 * The code points of a class: triples of first, last and 1.
 * @param script - whether `name` is a script
 * @throws SyntaxError where this engine's Unicode does not know the name
 */
export function rangesOf(name: string, script: boolean): Uint32Array {
  const source = CLASSES[name] ?? (script ? `\\p{Script=${name}}` : `\\p{${name}}`);
  const pattern = new RegExp(`^${source}$`, 'u');
  return rangesWhere((code) => pattern.test(String.fromCodePoint(code)));
}

/**
 * The code points outside a class that are the same letter as one inside, but for its case.
 * @param inside - the class, as `rangesOf` gives it
 * @param orbit - the next letter of each that has more forms than two, or that is not ASCII
 */
export function foldsOf(inside: Uint32Array, orbit: ReadonlyMap<number, number>): Uint32Array {
  const members = new Set<number>();
  for (let i = 0; i < inside.length; i += 3)
    for (let code = inside[i]!; code <= inside[i + 1]!; code++) members.add(code);
  const next = (code: number): number => orbit.get(code) ?? otherCase(code);
  return rangesWhere((code) => {
    if (members.has(code)) return false;
    for (let other = next(code); other !== code; other = next(other)) if (members.has(other)) return true;
    return false;
  });
}

/** The other case of an ASCII letter; anything else itself. */
function otherCase(code: number): number {
  const letter = code | 32;
  return code < 128 && letter >= 97 && letter <= 122 ? code ^ 32 : code;
}

function rangesWhere(holds: (code: number) => boolean): Uint32Array {
  const ranges: number[] = [];
  for (let code = 0, begin = -1; code <= LAST + 1; code++) {
    const held = code <= LAST && holds(code);
    if (held && begin < 0) begin = code;
    if (held || begin < 0) continue;
    ranges.push(begin, code - 1, 1);
    begin = -1;
  }
  return Uint32Array.from(ranges);
}
