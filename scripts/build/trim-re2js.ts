/**
 * Of RE2JS what src/patterns/ calls: patterns compiled, and held against whole names or their beginnings by the machine that
 * runs all threads side by side, in linear time. Left out are its faster engines (RE2JS itself falls back to this machine
 * where they give up), bytes, sets, searching, replacing and printing, and the tables of Unicode's classes, which the
 * JavaScript engine has too. Called by vendor.ts. Every part is looked for: another form of RE2JS stops the build.
 */

/** Classes that nothing kept refers to; functions and constants that they alone use go with them when bundled. */
const CLASSES = [
  ...['Utf8MatcherInput', 'MachineUTF8Input', 'RE2Set', 'TranslateRegExpString', 'DFAState', 'DFA'],
  ...['BitState', 'Backtracker', 'QueueOnePass', 'OnePassProg', 'OnePass'],
  ...['AhoCorasick', 'Prefilter', 'PrefilterTree'],
];

/** The methods that stay of the classes of which few do. */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  RE2JS: ['compile', 'constructor', 're2', 'matcher', 'namedGroups'],
  RE2: [
    ...['compileImpl', 'constructor', 'createLookbehindState', 'numberOfCapturingGroups', 'get', 'put'],
    ...['numberOfInstructions', 'doExecuteNFA', 'matchMachineInput'],
  ],
  Matcher: [
    ...['constructor', 'reset', 'resetMatcherInput', 'start', 'end', 'group', 'loadGroup'],
    ...['matches', 'lookingAt', 'genMatch', 'substring'],
  ],
  MatcherInput: ['utf16'],
  MatcherInputBase: [],
  Utf16MatcherInput: ['constructor', 'asCharSequence', 'length'],
  MachineInput: ['fromUTF16'],
  MachineUTF16Input: ['constructor', 'step', 'index', 'context'],
  RE2JSSyntaxException: ['constructor'],
};

/** The methods that go of other classes. */
const DROPPED: Readonly<Record<string, readonly string[]>> = {
  Utils: ['escapeRune', 'quoteMeta', 'stringToUtf8ByteArray', 'utf8ByteArrayToString'],
  UnicodeTables: ['Print'],
  Unicode: ['is32', 'is', 'isPrint'],
  MachineInputBase: ['hasString', 'hasAnyString', 'prefixLength'],
  Inst: ['escapeRunes', 'matchRunePos', 'toString'],
  Queue: ['toString'],
  Machine: ['matchSet'],
  Regexp: ['quoteIfHyphen', 'toString', 'appendTo'],
  Prog: ['toString'],
  Compiler: ['compileSet'],
  CharClass: ['charClassToString', 'toString'],
  StringIterator: ['toString'],
};

/** What the kept methods say of the parts that went, in the file's order. */
const REPLACED = [
  ['\t\telse if (Utils.isByteArray(input)) this.resetMatcherInput(MatcherInput.utf8(input));\n', ''],
  [
    'if (Utils.isByteArray(input)) input = MatcherInput.utf8(input);\n\t\t\telse input = MatcherInput.utf16(input);',
    'input = MatcherInput.utf16(input);',
  ],
  [
    'if (this.matcherInput.isUTF8Encoding()) return Utils.utf8ByteArrayToString(this.matcherInput.asBytes().slice(start, end));',
    '',
  ],
  ['const prefilter = PrefilterTree.build(re);', ''],
  ['re2.prefilter = prefilter.type === Prefilter.Type.NONE ? null : prefilter;', ''],
  ['re2.prefixUTF8 = Utils.stringToUtf8ByteArray(re2.prefix);', ''],
  ['this.onepass = OnePass.compile(this.prog);', ''],
  [
    'input.isUTF16Encoding() ? MachineInput.fromUTF16(input.asCharSequence(), 0, end) : MachineInput.fromUTF8(input.asBytes(), 0, end)',
    'MachineInput.fromUTF16(input.asCharSequence(), 0, end)',
  ],
  ['this.executeEngine(', 'this.doExecuteNFA('],
  ['if (Utils.isByteArray(input)) input = MatcherInput.utf8(input);', ''],
] as const;

/**
 * @param code - RE2JS's one module
 * @param ranges - the module that has `rangesOf` and `foldsOf`
 * @throws Error when RE2JS has another form
 */
export function trimRe2js(code: string, ranges: string): string {
  const lines = withoutTables(code.replace(/^export \{.*\};?$/m, 'export { RE2JS };')).split('\n');
  const kept = replaceInOrder('RE2JS', withoutParts(lines).join('\n'), REPLACED);
  if (kept.includes('decodeRanges("')) throw new Error('build: RE2JS still has a table, expected none');
  return `import { foldsOf, rangesOf } from '${ranges}';\n${kept}`;
}

/** @throws Error when what was bundled names a class that was left out */
export function checkRe2js(bundled: string): void {
  const left = CLASSES.filter((name) => new RegExp(`\\b${name}\\b`).test(bundled));
  if (left.length > 0) throw new Error(`build: RE2JS still uses ${left.join(', ')}, expected no use`);
}

/** @throws Error when one of the texts is not there, after the one before it */
export function replaceInOrder(
  what: string,
  code: string,
  texts: readonly (readonly [from: string, to: string])[],
): string {
  let done = '';
  let rest = code;
  for (const [from, to] of texts) {
    const at = rest.indexOf(from);
    if (at < 0) throw new Error(`build: ${what} has no '${from}', expected it`);
    done += rest.slice(0, at) + to;
    rest = rest.slice(at + from.length);
  }
  return done + rest;
}

const CLASS = /^var (\w+) = class\b/;
const METHOD = /^\t(?:static )?(?:get |\*)?(\w+)\(.*\{$/;

/** By the indents: a class ends at the first `}` without one, a method at the first with one tab. */
function withoutParts(lines: readonly string[]): string[] {
  const missing = new Set(CLASSES);
  for (const table of [KEPT, DROPPED])
    for (const [name, methods] of Object.entries(table))
      for (const method of methods) missing.add(`${name}.${method}`);
  const kept: string[] = [];
  let owner = '';
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    const declared = CLASS.exec(line)?.[1];
    if (declared !== undefined) owner = declared;
    const method = METHOD.exec(line)?.[1];
    const goes =
      declared !== undefined ? CLASSES.includes(declared) : method !== undefined && drops(owner, method);
    missing.delete(declared ?? `${owner}.${method}`);
    if (!goes) kept.push(line);
    else i = endOf(lines, i, declared === undefined ? '\t}' : '}');
  }
  if (missing.size > 0) throw new Error(`build: RE2JS has no ${[...missing].join(', ')}, expected them`);
  return kept;
}

function drops(owner: string, method: string): boolean {
  const stays = KEPT[owner];
  return stays === undefined ? (DROPPED[owner]?.includes(method) ?? false) : !stays.includes(method);
}

function endOf(lines: readonly string[], begin: number, close: string): number {
  const end = lines.findIndex((line, i) => i > begin && (line === close || line === `${close};`));
  if (end < 0) throw new Error(`build: RE2JS has no end of '${lines[begin]}', expected one`);
  return end;
}

function withoutTables(code: string): string {
  let map = '';
  let count = 0;
  const lines = code.split('\n').map((line) => {
    map = /^\tstatic (\w+) = new LazyMap\(\{$/.exec(line)?.[1] ?? map;
    const entry = /^(\t+(\w+): \(\) => new UnicodeRangeTable\()decodeRanges\("/.exec(line);
    if (entry === null) return line;
    count++;
    const [, begin, name] = entry;
    return `${begin}${rangesOf(map, name!)}${line.trimEnd().endsWith(',') ? '),' : ')'}`;
  });
  if (count < 200) throw new Error(`build: found ${count} tables in RE2JS, expected all of them, some 250`);
  return lines.join('\n');
}

/** The call that stands for a table. */
function rangesOf(map: string, name: string): string {
  const script = map === 'SCRIPTS' || map === 'FOLD_SCRIPT';
  const ranges = `rangesOf('${name}', ${script})`;
  return map.startsWith('FOLD') ? `foldsOf(${ranges}, UnicodeTables.CASE_ORBIT)` : ranges;
}
