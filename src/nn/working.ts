// Working copies: what a layer multiplies by where that is not the parameter itself. In mixed precision an optimizer keeps
// float32 masters, the model's parameters, and writes bfloat16 copies beside them, so that nothing is cast in a step.
import type { Tensor } from "../torch/index.js";

const copies = new WeakMap<Tensor, Tensor>();

/** The copy to compute with; the parameter itself where there is none. Gradients go where the computation went. */
export function working(parameter: Tensor): Tensor {
  return copies.get(parameter) ?? parameter;
}

/** Gives a parameter a working copy, or takes it away. The one who gives it writes and frees it. */
export function setWorking(parameter: Tensor, copy: Tensor | undefined): void {
  if (copy) copies.set(parameter, copy);
  else copies.delete(parameter);
}
