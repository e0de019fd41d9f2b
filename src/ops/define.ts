/** Operations written outside the package: a forward and a backward in terms of other operations. */

import { checkGradient, checkTensor } from '../tensor/check.js';
import type { Runtime } from '../tensor/runtime.js';
import { Tensor } from '../tensor/tensor.js';
import { describe } from '../values/checks.js';

/** Tensors by the names that an operation gives them. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** What forward gives: the output, and what backward needs of the inputs and of what was computed, by names of its own. */
export interface OperationResult<Keep extends NamedTensors> {
  readonly y: Tensor;
  /** Kept until backward has run; default nothing. */
  readonly keep?: Keep;
}

/** What backward is given. */
export interface OperationBackward<Inputs extends NamedTensors, Keep extends NamedTensors> {
  /** Gradient of the output. */
  readonly dy: Tensor;
  /** What forward kept. */
  readonly kept: Keep;
  /** Whether an input wants a gradient. */
  wants(name: keyof Inputs & string): boolean;
}

/** What `defineOperation` takes: how to compute an operation of your own, and its gradient. */
export interface OperationDefinition<Inputs extends NamedTensors, Keep extends NamedTensors> {
  /** Name for error messages. */
  readonly name: string;
  /** Computes the output. Runs unrecorded. */
  forward(inputs: Inputs): OperationResult<Keep>;
  /** Gradients of the inputs by their names; what is left out or null has none. Runs unrecorded. */
  backward(context: OperationBackward<Inputs, Keep>): { readonly [name in keyof Inputs]?: Tensor | null };
}

/**
 * Makes a differentiable operation of a forward and a backward function.
 * @throws TypeError, RangeError where forward gives no float32 tensor of the inputs' runtime, or backward a gradient of no
 *   input, or of another kind or shape
 * @example
 * const square = defineOperation({
 *   name: 'square',
 *   forward: ({ x }: { x: Tensor }) => ({ y: mul(x, x), keep: { x } }),
 *   backward: ({ dy, kept }) => ({ x: mul(dy, scale(kept.x, 2)) }),
 * });
 * const y = square({ x });
 */
export function defineOperation<
  Inputs extends NamedTensors,
  Keep extends NamedTensors = Record<never, never>,
>(definition: OperationDefinition<Inputs, Keep>): (inputs: Inputs) => Tensor {
  if (definition === null || typeof definition !== 'object')
    throw new TypeError(
      `defineOperation: definition is ${describe(definition)}, expected { name, forward, backward }`,
    );
  const { name } = definition;
  if (typeof name !== 'string' || name === '')
    throw new TypeError(`defineOperation: name is ${describe(name)}, expected a string`);
  for (const part of ['forward', 'backward'] as const) {
    if (typeof definition[part] !== 'function')
      throw new TypeError(
        `defineOperation: ${part} of ${name} is ${describe(definition[part])}, expected a function`,
      );
  }
  return (inputs) => {
    const rt = checkInputs(name, inputs);
    return rt.attempt(() => forwardOf(rt, definition, inputs));
  };
}

/** The runtime of an operation's inputs, of any dtype. @throws TypeError; Error after dispose */
function checkInputs(name: string, inputs: unknown): Runtime {
  if (inputs === null || typeof inputs !== 'object' || inputs instanceof Tensor)
    throw new TypeError(`${name}: inputs is ${describe(inputs)}, expected an object of tensors`);
  let runtime: Runtime | null = null;
  for (const [key, value] of Object.entries(inputs))
    runtime = checkTensor(name, key, value, runtime === null ? {} : { runtime }).runtime;
  if (runtime === null) throw new TypeError(`${name}: no tensors given, expected at least one`);
  return runtime;
}

/** Runs the author's forward, checks what it gives and leaves the operation on the tape. */
function forwardOf<Inputs extends NamedTensors, Keep extends NamedTensors>(
  rt: Runtime,
  definition: OperationDefinition<Inputs, Keep>,
  inputs: Inputs,
): Tensor {
  const { name } = definition;
  const made = Tensor.made;
  const result: unknown = rt.noGrad(() => rt.scope(() => definition.forward(inputs)));
  const where = `${name}: forward`;
  if (result === null || typeof result !== 'object' || result instanceof Tensor)
    throw new TypeError(`${where} gave ${describe(result)}, expected { y, keep }`);
  const { y, keep = {} } = result as { y?: unknown; keep?: Record<string, unknown> };
  const output = checkTensor(where, 'y', y, { dtype: 'f32', runtime: rt });
  const kept: Record<string, Tensor> = {};
  for (const [key, value] of Object.entries(keep))
    kept[key] = checkTensor(where, `keep.${key}`, value, { runtime: rt });
  const views = Object.entries(kept).map(([key, tensor]) => [key, viewLater(tensor)] as const);
  // What forward did not make itself needs a tensor of its own to hang the tape on.
  const own = output.number < made || output.node !== null ? output.detach() : output;
  const given: NamedTensors = inputs;
  rt.record<NamedTensors, NamedTensors>(own, {
    name,
    inputs: given,
    keep: kept,
    backward({ dy, wants, pass }) {
      const gradients = gradientsOf(definition, inputs, { dy, wants, views });
      for (const [key, gradient] of Object.entries(gradients))
        if (gradient !== null && gradient !== undefined && wants(key)) pass(gradient, key);
      // What backward made has moved to the scope of dy; what its author keeps is not ours.
      for (const gradient of Object.values(gradients))
        if (gradient instanceof Tensor && gradient !== dy && gradient.scope === dy.scope) gradient.dispose();
    },
  });
  for (const tensor of Object.values(kept)) if (tensor.number >= made && tensor !== own) tensor.dispose();
  return own;
}

/** A function that gives a tensor of the same elements, in no scope. */
function viewLater({ runtime, storage, offset, shape, dtype }: Tensor): () => Tensor {
  return () => new Tensor(runtime, storage.retain(), offset, shape, dtype);
}

interface Walked {
  readonly dy: Tensor;
  readonly wants: (name: string) => boolean;
  readonly views: readonly (readonly [string, () => Tensor])[];
}

/** Runs the author's backward and checks all that it gives. @throws TypeError, RangeError */
function gradientsOf<Inputs extends NamedTensors, Keep extends NamedTensors>(
  definition: OperationDefinition<Inputs, Keep>,
  inputs: Inputs,
  { dy, wants, views }: Walked,
): Record<string, Tensor | null | undefined> {
  const where = `${definition.name}: backward`;
  const rt = dy.runtime;
  const given: unknown = rt.noGrad(() =>
    rt.scope(() => {
      const kept = Object.fromEntries(views.map(([key, view]) => [key, rt.adopt(view())])) as Keep;
      return definition.backward({ dy, kept, wants });
    }),
  );
  if (given === null || typeof given !== 'object' || Array.isArray(given) || given instanceof Tensor)
    throw new TypeError(`${where} gave ${describe(given)}, expected an object of gradients by input`);
  for (const [key, gradient] of Object.entries(given)) {
    const input = Object.hasOwn(inputs, key) ? inputs[key] : undefined;
    if (input === undefined)
      throw new TypeError(
        `${where} gave a gradient of ${key}, expected one of ${Object.keys(inputs).join(', ')}`,
      );
    if (gradient !== null && gradient !== undefined)
      checkGradient(where, `gradient of ${key}`, gradient, input);
  }
  return given as Record<string, Tensor | null | undefined>;
}
