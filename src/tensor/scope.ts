/**
 * Scopes: lists of what was made inside a function, released at its end. Tensors that the function returns move, with
 * the part of the tape that they hang on, to the scope around it.
 */
import { isMap, isPlainObject, isSet } from '../values/kind.js';

/** Something that a scope releases. */
export interface Scoped {
  /** The scope that will release it, or null once nobody will. */
  scope: Scope | null;
  /** Gives up what it holds. */
  release(): void;
  /** Called when no scope holds it, or no longer does. */
  leftAlone(): void;
  /** What must live as long as this does. */
  dependencies(): Iterable<Scoped>;
}

export class Scope {
  readonly parent: Scope | null;
  readonly #items: Scoped[] = [];

  constructor(parent: Scope | null) {
    this.parent = parent;
  }

  add(item: Scoped): void {
    item.scope = this;
    this.#items.push(item);
  }

  /** How many things were put in so far: a mark for `settle` and `undo`. */
  get size(): number {
    return this.#items.length;
  }

  /** Forgets what came behind a mark and is released or kept by somebody else by now. */
  settle(mark: number): void {
    const items = this.#items;
    let held = mark;
    for (let i = mark; i < items.length; i++) {
      const item = items[i]!;
      if (item.scope === this) items[held++] = item;
    }
    // One by one: mostly none or a few, and setting a length costs more than an operation's other records.
    while (items.length > held) items.pop();
  }

  /** Releases what came behind a mark. */
  undo(mark: number): void {
    for (const item of this.#items.splice(mark)) {
      if (item.scope !== this) continue;
      item.scope = null;
      item.release();
    }
  }

  /** Leaves everything to itself: this scope, which has no parent, was one for an attempt alone. */
  dissolve(): void {
    for (const item of this.#items) if (item.scope === this) this.#handOn(item);
    this.#items.length = 0;
  }

  /** Releases everything but `escaping` and what it depends on, which moves to the parent. */
  end(escaping: Iterable<Scoped>): void {
    const queue = [...escaping];
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) {
      if (item.scope !== this) continue;
      this.#handOn(item);
      queue.push(...item.dependencies());
    }
    this.undo(0);
  }

  #handOn(item: Scoped): void {
    if (this.parent === null) {
      item.scope = null;
      item.leftAlone();
    } else this.parent.add(item);
  }
}

/** Finds what is Scoped in a value, also inside arrays, maps and plain objects. */
export function collect(
  value: unknown,
  isScoped: (value: object) => Scoped | null,
  into: Scoped[],
  seen = new Set<object>(),
): Scoped[] {
  if (value === null || typeof value !== 'object' || seen.has(value)) return into;
  seen.add(value);
  const scoped = isScoped(value);
  if (scoped !== null) {
    into.push(scoped);
    return into;
  }
  if (isPlainObject(value)) for (const entry of Object.values(value)) collect(entry, isScoped, into, seen);
  else if (Array.isArray(value) || isSet(value))
    for (const entry of value) collect(entry, isScoped, into, seen);
  else if (isMap(value)) for (const entry of value.values()) collect(entry, isScoped, into, seen);
  return into;
}
