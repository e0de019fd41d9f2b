/** Adding an adapter to a model: `addAdapter`, and what `attach`, `loadAdapter` and `addWeightedAdapter` begin with. */
import type { Module } from '../../nn/module.js';
import type { Shape } from '../../values/shape.js';
import type { ResolvedConfig } from '../config/config.js';
import { checkInitial, initialise } from '../layer/initialise.js';
import type { AdapterTensor } from '../layer/tensors.js';
import { Adapter, expectedTensors, layoutOf } from './adapter.js';
import type { Attachment } from './attachment.js';
import { type AdapterPlan, planAdapter } from './plan.js';

/** What a loaded adapter comes from, as far as adding it asks. */
export interface AdapterFile {
  /** Whether what matches nothing is an error. */
  readonly strict: boolean;
  /** The initialisation to run before the file's values go in. @throws AdapterError for one that cannot be run again */
  initOf(plan: AdapterPlan): boolean | string;
  /**
   * Holds the adapter's tensors against the file's.
   * @param model - its base alone, which what else the file holds is compared with
   * @throws AdapterError when they do not fit
   */
  compare(tensors: readonly AdapterTensor<Shape>[], model: Module): void;
  /** Whether the file has all of the layer at `path`, after `compare`: nothing is drawn for it then. */
  fills(path: string): boolean;
}

/** An adapter that was added, and the way to take it and the layers made for it out again. */
export interface Added {
  readonly adapter: Adapter;
  undo(): void;
}

/** An adapter to be: its name, its options, and what it is loaded from, if anything. */
export interface NewAdapter {
  readonly name: string;
  readonly config: ResolvedConfig;
  readonly file?: AdapterFile | undefined;
}

/**
 * Makes an adapter and wraps the layers that it needs. All that can be refused is refused before memory is taken or anything
 * computed.
 * @throws AdapterError; the model is then unchanged
 */
export function addAdapter(attachment: Attachment, where: string, given: NewAdapter): Added {
  const { adapters, places, guard, model, runtime } = attachment;
  guard.checkAttached(where);
  adapters.checkNewName(where, given.name);
  const { engine } = runtime;
  const before = engine.layers;
  // Copies of biases, PiSSA's factors and DoRA's magnitudes come from the base, whatever is merged now.
  const adapter = attachment.withBaseAlone(() =>
    runtime.running.construct(() => make(attachment, where, given)),
  );
  const fresh = adapter.plan.layers.filter(({ path }) => !places.has(path));
  try {
    places.putIn(where, fresh, model.training);
  } catch (error) {
    adapter.dispose();
    throw error;
  }
  adapters.add(adapter);
  attachment.markTied();
  const after = engine.layers;
  const undo = (): void => {
    if (engine.layers === after) engine.layers = before;
    adapters.remove(adapter);
    places.takeOut(fresh);
  };
  return { adapter, undo };
}

function make({ model, runtime }: Attachment, where: string, { name, config, file }: NewAdapter): Adapter {
  const plan = planAdapter(where, model, config, {
    strict: file?.strict ?? true,
    loaded: file !== undefined,
  });
  const layout = layoutOf(where, model, config, plan);
  const init = file === undefined ? config.initLoraWeights : file.initOf(plan);
  for (const { path, layer, options } of plan.layers)
    checkInitial(`${where}: ${path}`, layer.state, options, init);
  file?.compare(expectedTensors(name, plan, layout), model);
  const made = new Adapter(runtime, name, config, plan, layout);
  try {
    for (const { path, layer } of plan.layers)
      if (init !== true || file?.fills(path) !== true)
        initialise(`${where}: ${path}`, layer.state, name, layer.base.weight, init);
  } catch (error) {
    made.dispose();
    throw error;
  }
  return made;
}
