/** Operations written outside the package: a forward and a backward in terms of other operations. */
import { describe } from '../runtime/errors.js';
import { checkGradient, checkTensor } from '../tensor/check.js';
import type { Runtime } from '../tensor/runtime.js';
import type { BackwardContext } from '../tensor/tape.js';
import { Tensor } from '../tensor/tensor.js';

/** What a custom operation's functions get besides their tensors. */
export interface OperationContext {
  /** In forward: keeps tensors for backward, in this order; inputs, and what forward computed, alike. */
  save(...tensors: Tensor[]): void;
  /** In backward: what forward saved. */
  readonly saved: readonly Tensor[];
}

export interface OperationDefinition<Inputs extends readonly Tensor[]> {
  /** Name for error messages. */
  readonly name: string;
  /** Computes the output. Runs unrecorded. */
  forward(context: OperationContext, ...inputs: Inputs): Tensor;
  /** Gradient of each input (null for none), from the gradient of the output. Runs unrecorded. */
  backward(context: OperationContext, dy: Tensor): readonly (Tensor | null)[];
}

/**
 * Makes a differentiable operation of a forward and a backward function.
 * @throws TypeError, RangeError where forward gives no float32 tensor of the inputs' runtime, or backward another number of
 *   gradients than there are inputs, or other kinds and shapes
 * @example
 * const square = defineOperation({
 *   name: 'square',
 *   forward(context, x: Tensor) {
 *     context.save(x);
 *     return mul(x, x);
 *   },
 *   backward(context, dy) {
 *     return [mul(dy, scale(context.saved[0]!, 2))];
 *   },
 * });
 */
export function defineOperation<Inputs extends readonly Tensor[]>(
  definition: OperationDefinition<Inputs>,
): (...inputs: Inputs) => Tensor {
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
  return (...inputs) => {
    const rt = checkInputs(name, inputs);
    const saving = new Saving(name, rt);
    try {
      return rt.attempt(() => {
        const made = Tensor.made;
        const y = rt.noGrad(() => rt.scope(() => definition.forward(saving.context(), ...inputs)));
        saving.end();
        checkTensor(`${name}: forward`, 'the output', y, { dtype: 'f32', runtime: rt });
        // What forward did not make itself needs a tensor of its own to hang the tape on.
        const output = y.number < made || y.node !== null ? y.detach() : y;
        const { tensors } = saving;
        const again = tensors.map(viewLater);
        return rt.record(output, {
          name,
          inputs,
          saved: tensors,
          backward: (context) => backwardOf(definition, inputs, again, context),
        });
      });
    } finally {
      saving.release();
    }
  };
}

/** The runtime of an operation's inputs, of any dtype. @throws TypeError; Error after dispose */
function checkInputs(name: string, inputs: readonly unknown[]): Runtime {
  if (inputs.length === 0) throw new TypeError(`${name}: no tensors given, expected at least one`);
  const { runtime } = checkTensor(name, 'input 0', inputs[0], {});
  for (const [i, input] of inputs.entries()) checkTensor(name, `input ${i}`, input, { runtime });
  return runtime;
}

/** What forward saves: views that live by a reference of their own, since forward's scope ends before the tape takes them. */
class Saving {
  readonly tensors: Tensor[] = [];
  readonly #name: string;
  readonly #runtime: Runtime;
  readonly #given: Tensor[] = [];
  #open = true;

  constructor(name: string, runtime: Runtime) {
    this.#name = name;
    this.#runtime = runtime;
  }

  context(): OperationContext {
    return { save: (...tensors) => this.#save(tensors), saved: this.#given };
  }

  end(): void {
    this.#open = false;
  }

  release(): void {
    this.end();
    for (const tensor of this.tensors) tensor.dispose();
  }

  #save(tensors: readonly unknown[]): void {
    const where = `${this.#name}: context.save`;
    if (!this.#open) throw new Error(`${where} was called after forward, expected inside it`);
    const runtime = this.#runtime;
    const checked = tensors.map((tensor, i) => checkTensor(where, `tensor ${i}`, tensor, { runtime }));
    this.#given.push(...checked);
    for (const tensor of checked) this.tensors.push(viewLater(tensor)());
  }
}

/** A function that gives a tensor of the same elements, in no scope. */
function viewLater({ runtime, storage, offset, shape, dtype }: Tensor): () => Tensor {
  return () => new Tensor(runtime, storage.retain(), offset, shape, dtype);
}

/** Runs the author's backward, checks all that it gives, and hands it on. */
function backwardOf<Inputs extends readonly Tensor[]>(
  definition: OperationDefinition<Inputs>,
  inputs: Inputs,
  saved: readonly (() => Tensor)[],
  { dy, pass, wants }: BackwardContext,
): void {
  const { name } = definition;
  const rt = dy.runtime;
  const save = (): void => {
    throw new Error(`${name}: context.save was called in backward, expected in forward`);
  };
  const gradients = rt.noGrad(() =>
    rt.scope(() => definition.backward({ save, saved: saved.map((view) => rt.adopt(view())) }, dy)),
  );
  if (!Array.isArray(gradients) || gradients.length !== inputs.length) {
    const got = Array.isArray(gradients) ? `${gradients.length} gradients` : describe(gradients);
    throw new TypeError(`${name}: backward gave ${got}, expected an array of ${inputs.length}`);
  }
  for (const [i, gradient] of gradients.entries()) {
    if (gradient === null || !wants(i)) continue;
    pass(i, checkGradient(`${name}: backward`, `gradient ${i}`, gradient, inputs[i]!));
  }
  // What backward made has moved to the scope of dy; what its author keeps is not ours.
  for (const gradient of gradients)
    if (gradient instanceof Tensor && gradient !== dy && gradient.scope === dy.scope) gradient.dispose();
}
