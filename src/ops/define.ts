/** Operations written outside the package: a forward and a backward in terms of other operations. */
import { describe } from '../runtime/errors.js';
import { sameShape, showShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';

/** What a custom operation's functions get besides their tensors. */
export interface OperationContext {
  /** Keeps tensors for backward, in this order. */
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
 * @throws TypeError, RangeError when backward gives another number of gradients, or other shapes, than there are inputs
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
  const { name } = definition;
  if (typeof name !== 'string' || name === '')
    throw new TypeError(`defineOperation: name is ${describe(name)}, expected a string`);
  return (...inputs) => {
    const rt = inputs[0]?.runtime;
    if (rt === undefined) throw new TypeError(`${name}: no tensors given, expected at least one`);
    const saved: Tensor[] = [];
    const forwardContext: OperationContext = { save: (...tensors) => void saved.push(...tensors), saved };
    const y = rt.noGrad(() => rt.scope(() => definition.forward(forwardContext, ...inputs)));
    if (!(y instanceof Tensor))
      throw new TypeError(`${name}: forward gave ${describe(y)}, expected a Tensor`);
    // An output that is an input itself needs a tensor of its own to hang the tape on.
    const output = inputs.includes(y) || y.node !== null ? y.detach() : y;
    const views = saved.map((tensor) => ({
      storage: tensor.storage,
      offset: tensor.offset,
      shape: tensor.shape,
      dtype: tensor.dtype,
    }));
    return rt.record(output, {
      name,
      inputs,
      saved,
      backward: ({ dy, pass, wants }) => {
        const gradients = rt.noGrad(() =>
          rt.scope(() => {
            const kept = views.map((v) =>
              rt.adopt(new Tensor(rt, v.storage.retain(), v.offset, v.shape, v.dtype)),
            );
            return definition.backward({ save: () => {}, saved: kept }, dy);
          }),
        );
        if (!Array.isArray(gradients) || gradients.length !== inputs.length) {
          const got = Array.isArray(gradients) ? `${gradients.length} gradients` : describe(gradients);
          throw new TypeError(`${name}: backward gave ${got}, expected an array of ${inputs.length}`);
        }
        for (const [i, gradient] of gradients.entries()) {
          if (gradient === null || !wants(i)) continue;
          if (!sameShape(gradient.shape, inputs[i]!.shape)) {
            throw new RangeError(
              `${name}: gradient ${i} is ${showShape(gradient.shape)}, expected ${showShape(inputs[i]!.shape)}`,
            );
          }
          pass(i, gradient);
        }
        // What backward made has moved to the scope of dy; what its author keeps is not ours.
        for (const gradient of gradients)
          if (gradient !== dy && gradient?.scope === dy.scope) gradient.dispose();
      },
    });
  };
}
