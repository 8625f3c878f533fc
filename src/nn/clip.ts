// Gradient clipping by the norm over all parameters together. Call it after backward.
import { call, noGrad, stack, type Tensor } from "../torch/index.js";

/** Scales gradients so that their joint L2 norm is at most `maxNorm`; returns the norm before, a tensor of one element. */
export function clipGradNorm(parameters: readonly Tensor[], maxNorm: number): Tensor {
  return noGrad(() => {
    const gradients = parameters.flatMap((parameter) => parameter.grad ?? []);
    if (!gradients.length)
      throw new Error("Expected gradients to clip, found none. Call backward first.");
    const norms = call<Tensor[]>("_foreach_norm.Scalar", gradients);
    const total = call("linalg_vector_norm", stack(norms));
    // No branch on the value: the factor is 1 where the norm is small, so the GPU need not be waited for.
    const factor = call("reciprocal", total.add(1e-6)).mul(maxNorm).clamp(undefined, 1);
    call<undefined>("_foreach_mul_.Tensor", gradients, factor);
    return total;
  });
}
