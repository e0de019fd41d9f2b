/** The modules of a model by their names, each with a way to put another into its places. */
import { type Child, dotted, type Module } from '../../nn/module.js';

/** Every child module by its dotted name; a shared one once, under its first name, and replaced in every place. */
export function childrenOf(model: Module): Map<string, Child> {
  const found = new Map<string, Child>();
  // The model itself may be met again, where a layer knows its owner.
  const places = new Map<Module, Child[]>([[model, []]]);
  const visit = (module: Module, prefix: string): void => {
    for (const child of module.children()) {
      const known = places.get(child.module);
      if (known !== undefined) {
        known.push(child);
        continue;
      }
      const all = [child];
      places.set(child.module, all);
      const path = dotted(prefix, child.name);
      found.set(path, {
        ...{ name: child.name, module: child.module },
        replace: (other) => {
          for (const place of all) place.replace(other);
        },
      });
      visit(child.module, path);
    }
  };
  visit(model, '');
  return found;
}
