/** Keeps what a function gives: cases that every build, path or property is held to are made once. Nothing may change them. */
export function once<A extends readonly (number | boolean)[], T>(make: (...args: A) => T): (...args: A) => T {
  const made = new Map<string, T>();
  return (...args) => {
    const key = args.join(' ');
    let known = made.get(key);
    if (known === undefined) {
      known = make(...args);
      made.set(key, known);
    }
    return known;
  };
}
