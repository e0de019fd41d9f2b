/** A value of a type that a caller of JavaScript passes all the same, for tests of what is refused. */
export const wrong = <T>(value: unknown): T => value as T;
