/** The method that `using` calls; every class with a `dispose()` has it. */

/**
 * `Symbol.dispose`. An engine that does not know it yet, as WebKit's, has no `using` either; there esbuild, Babel and
 * Oxc write calls of the method under this registered symbol in its place.
 */
export const DISPOSE: typeof Symbol.dispose =
  Symbol.dispose ?? (Symbol.for('Symbol.dispose') as typeof Symbol.dispose);
