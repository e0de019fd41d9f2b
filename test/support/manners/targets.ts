/**
 * Everything that a user of the package can call, found by walking its entries: functions, constructors, static members, and
 * the public methods and accessors of instances. A new export is among them without an edit here.
 */
import { readdirSync, readFileSync } from 'node:fs';
import * as formats from '../../../src/formats/index.js';
import * as core from '../../../src/index.js';
import * as models from '../../../src/models/index.js';
import * as node from '../../../src/node.js';
import * as train from '../../../src/train/index.js';
import type { World } from './world.js';

/** One thing to call. */
export interface Target {
  /** `add`, `new Linear`, `LoraModel.attach`, `Tensor.set`, `Optimizer.lr =`: an inherited member is its class's. */
  readonly name: string;
  /** What a message may begin with. */
  called(world: World, receiver: string | undefined): readonly string[];
  /** Names of the objects of a world whose member it is; empty for what needs none. */
  readonly receivers: readonly string[];
  /** Number of parameters that it declares. */
  readonly arity: number;
  call(world: World, receiver: string | undefined, args: unknown[]): unknown;
}

type Callable = (...args: unknown[]) => unknown;
type Class = new (...args: unknown[]) => object;

export const ENTRIES: readonly Readonly<Record<string, unknown>>[] = [core, formats, models, train, node];

function isClass(value: unknown): value is Class {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

/** Classes of the entries by name, errors left out: the package alone makes them. */
export function exportedClasses(): [string, Class][] {
  return ENTRIES.flatMap((entry) => Object.entries(entry)).filter(
    (pair): pair is [string, Class] => isClass(pair[1]) && !(pair[1].prototype instanceof Error),
  );
}

/** Every target there is. @param world - whose objects have the methods */
export function findTargets(world: World): Target[] {
  const targets = new Map<string, Target>();
  const add = (target: Target): void => {
    const known = targets.get(target.name);
    const receivers = [...new Set([...(known?.receivers ?? []), ...target.receivers])];
    targets.set(target.name, { ...target, receivers });
  };
  for (const [name, value] of ENTRIES.flatMap((entry) => Object.entries(entry)))
    if (typeof value === 'function' && !isClass(value)) add(functionTarget(name, value as Callable));
  for (const [name, value] of ENTRIES.flatMap((entry) => Object.entries(entry)))
    if (typeof value === 'object' && value !== null)
      for (const [key, call] of Object.entries(value))
        if (typeof call === 'function') add(functionTarget(`${name}.${key}`, call as Callable));
  for (const [name, made] of exportedClasses()) {
    const call: Target['call'] = (_world, _receiver, args) => new made(...args);
    if (internals().get(name)?.has('constructor') !== true)
      add({ name: `new ${name}`, called: () => [name], receivers: [], arity: made.length, call });
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(made)))
      if (typeof value === 'function' && key !== 'prototype' && internals().get(name)?.has(key) !== true)
        add(functionTarget(`${name}.${key}`, (value as Callable).bind(made)));
  }
  for (const [receiver, value] of Object.entries(world.objects.byName))
    if (typeof value === 'function') add({ ...operationTarget(value as Callable), receivers: [receiver] });
    else for (const target of memberTargets(receiver, value)) add(target);
  return [...targets.values()];
}

function functionTarget(name: string, value: Callable): Target {
  return {
    ...{ name, called: () => [name], receivers: [], arity: value.length },
    call: (_world, _receiver, args) => value(...args),
  };
}

/** An operation that `defineOperation` made: a function, called by the name that it was given. */
function operationTarget(value: Callable): Target {
  const call: Target['call'] = ({ objects }, receiver, args) => (objects.get(receiver!) as Callable)(...args);
  return { name: 'defineOperation()', called: () => ['square'], receivers: [], arity: value.length, call };
}

/** The classes of an object, its own first. */
function classesOf(object: object): { readonly name: string; readonly prototype: object }[] {
  const classes: { readonly name: string; readonly prototype: object }[] = [];
  let at: object | null = Object.getPrototypeOf(object);
  for (; at !== Object.prototype && at !== null; at = Object.getPrototypeOf(at))
    classes.push({ name: at.constructor.name, prototype: at });
  return classes;
}

/** What messages may call an object: its classes, and a LoRA layer by its kind. */
function namesOf(object: object): string[] {
  const names = classesOf(object).map(({ name }) => name);
  if (!(object instanceof core.LoraLayer)) return names;
  return [...names, { linear: 'LoraLinear', embedding: 'LoraEmbedding', conv2d: 'LoraConv2d' }[object.kind]];
}

/** Public methods, getters and setters of an object, each by the class that defines it. */
function* memberTargets(receiver: string, object: object): Iterable<Target> {
  const classes = classesOf(object);
  if (classes.length === 0) yield* ownFunctions(receiver, object);
  const hidden = classes.flatMap(({ name }) => [...(internals().get(name) ?? [])]);
  const seen = new Set<PropertyKey>(['constructor', ...hidden]);
  for (const { name: owner, prototype } of classes) {
    for (const key of Reflect.ownKeys(prototype)) {
      if (seen.has(key)) continue;
      seen.add(key);
      yield* accessTargets(receiver, owner, key, Object.getOwnPropertyDescriptor(prototype, key)!);
    }
  }
}

function* accessTargets(
  receiver: string,
  owner: string,
  key: PropertyKey,
  { value, get, set }: PropertyDescriptor,
): Iterable<Target> {
  const shown = String(key);
  const of = (world: World, name: string | undefined): object => world.objects.get(name!)!;
  const called = (world: World, name: string | undefined): string[] => [
    ...namesOf(of(world, name)).map((made) => `${made}.${shown}`),
    shown,
  ];
  const base = { called, receivers: [receiver], name: `${owner}.${shown}` };
  if (typeof value === 'function')
    yield {
      ...{ ...base, arity: value.length },
      call: (world, name, args) =>
        (Reflect.get(of(world, name), key) as Callable).apply(of(world, name), args),
    };
  if (get !== undefined)
    yield { ...base, arity: 0, call: (world, name) => Reflect.get(of(world, name), key) };
  if (set !== undefined)
    yield {
      ...{ ...base, name: `${owner}.${shown} =`, arity: 1 },
      call: (world, name, [given]) => Reflect.set(of(world, name), key, given),
    };
}

/** Functions that a plain object carries, such as `close` of an open file. */
function* ownFunctions(receiver: string, object: object): Iterable<Target> {
  for (const [key, value] of Object.entries(object))
    if (typeof value === 'function')
      yield {
        ...{ name: `${receiver}.${key}`, called: () => [key], receivers: [receiver], arity: value.length },
        call: (world, name, args) => (Reflect.get(world.objects.get(name!)!, key) as Callable)(...args),
      };
}

let found: Map<string, Set<string>> | null = null;

/** Members that the sources mark as internal, protected or private, by class: they leave the package's types when it is built. */
function internals(): ReadonlyMap<string, ReadonlySet<string>> {
  if (found !== null) return found;
  found = new Map();
  const root = new URL('../../../src/', import.meta.url);
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const parts = readFileSync(new URL(file.replaceAll('\\', '/'), root), 'utf8').split(
      /^(?:export )?(?:abstract )?class /m,
    );
    for (const text of parts.slice(1)) {
      const name = /^\w+/.exec(text)![0];
      const modifiers = '(?:(?:readonly|get|set|static|abstract|async|override|protected) |\\*)*';
      const marked = `/\\*\\*(?:(?!\\*/)[^])*?@internal(?:(?!\\*/)[^])*\\*/\\s*${modifiers}(\\w+)`;
      const names = [marked, `\\n {2}(?:protected|private) ${modifiers}(\\w+)`].flatMap((source) =>
        [...text.matchAll(new RegExp(source, 'g'))].map((match) => match[1]!),
      );
      found.set(name, new Set([...(found.get(name) ?? []), ...names]));
    }
  }
  return found;
}
