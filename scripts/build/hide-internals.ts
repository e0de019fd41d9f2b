/**
 * Takes what is internal out of rolled-up declarations: members and declarations under `@internal` and members that override
 * such ones, promises to implement interfaces that have them, and then every declaration that no exported one speaks of any
 * more. A constructor that is internal stays as a protected one without parameters: left out, everybody might call it.
 */
import ts from 'typescript';

/** A piece of the text and what stands in its place. */
interface Cut {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** What files begin with, and their sections: comments that stand alone. */
const HEADERS = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n(?=\n)/g;

/** @param code - one module of declarations that imports nothing @returns the same without what is internal */
export function hideInternals(code: string): string {
  const visible = cut(code, internals(parse(code))).replaceAll('[DISPOSE]', '[Symbol.dispose]');
  const rest = cut(visible, unreachable(parse(visible)));
  return rest.replaceAll(HEADERS, '');
}

function parse(code: string): ts.SourceFile {
  return ts.createSourceFile('types.d.ts', code, ts.ScriptTarget.Latest, true);
}

function cut(code: string, cuts: readonly Cut[]): string {
  let rest = code;
  for (const { from, to, text } of cuts.toReversed()) rest = rest.slice(0, from) + text + rest.slice(to);
  return rest;
}

function isTagged(node: ts.Node): boolean {
  return ts.getJSDocTags(node).some((tag) => tag.tagName.text === 'internal');
}

/** Tests members: whether they, their other accessor, or what they override is under `@internal`. */
function internalMembers(source: ts.SourceFile): (member: ts.ClassElement) => boolean {
  const classes = new Map<string, ts.ClassDeclaration>();
  for (const statement of source.statements)
    if (ts.isClassDeclaration(statement) && statement.name !== undefined)
      classes.set(statement.name.text, statement);
  const isHidden = (owner: ts.ClassDeclaration | undefined, name: string): boolean => {
    if (owner === undefined) return false;
    if (owner.members.some((member) => member.name?.getText() === name && isTagged(member))) return true;
    const base = owner.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword);
    return isHidden(classes.get(base?.types[0]?.expression.getText() ?? ''), name);
  };
  return (member) =>
    isTagged(member) ||
    (member.name !== undefined && isHidden(member.parent as ts.ClassDeclaration, member.name.getText()));
}

/** In the order of the text, none within another. */
function internals(source: ts.SourceFile): Cut[] {
  const cuts: Cut[] = [];
  const isInternal = internalMembers(source);
  const visit = (node: ts.Node): void => {
    if (ts.isClassElement(node) ? isInternal(node) : isTagged(node)) {
      const text = ts.isConstructorDeclaration(node) ? '\n    protected constructor();' : '';
      cuts.push({ from: node.getFullStart(), to: node.getEnd(), text });
    } else if (ts.isHeritageClause(node) && node.token === ts.SyntaxKind.ImplementsKeyword) {
      cuts.push({ from: node.getFullStart(), to: node.getEnd(), text: '' });
    } else {
      ts.forEachChild(node, visit);
    }
  };
  visit(source);
  return cuts;
}

/** The names that a statement declares; none for the list of exports. */
function declared(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  const { name } = statement as ts.DeclarationStatement;
  return name === undefined ? [] : [name.text];
}

function unreachable(source: ts.SourceFile): Cut[] {
  const byName = new Map<string, ts.Statement[]>();
  for (const statement of source.statements)
    for (const name of declared(statement)) byName.set(name, [...(byName.get(name) ?? []), statement]);
  const reached = new Set<ts.Statement>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) {
      for (const statement of byName.get(node.text) ?? []) {
        if (reached.has(statement)) continue;
        reached.add(statement);
        visit(statement);
      }
    }
    ts.forEachChild(node, visit);
  };
  for (const statement of source.statements) if (declared(statement).length === 0) visit(statement);
  return source.statements
    .filter((statement) => declared(statement).length > 0 && !reached.has(statement))
    .map((statement) => ({ from: statement.getFullStart(), to: statement.getEnd(), text: '' }));
}
