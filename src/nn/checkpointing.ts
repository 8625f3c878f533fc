// Activation checkpointing: segments run without recording and are run again, one at a time, in the backward pass.
// It saves memory for one more forward pass. The backward pass is driven from TypeScript: nothing runs inside autograd.
import { noGrad, scope, type Tensor } from "../torch/index.js";

interface Segment {
  readonly fn: (x: Tensor) => Tensor;
  readonly input: Tensor;
  /** A leaf that stands for the segment's output in the graph that follows. */
  readonly output: Tensor;
}

export class Checkpointing {
  readonly #segments: Segment[] = [];

  /** `autocasting` wraps the second run as the caller wrapped the first. */
  constructor(private readonly autocasting: <T>(fn: () => T) => T = (fn) => fn()) {}

  /** Runs a segment, a pure function of `x` and of parameters. */
  run(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
    const output = scope(() => noGrad(() => fn(x)).requiresGrad_());
    this.#segments.push({ fn, input: x, output });
    return output;
  }

  /** In place of `loss.backward()`: the loss, then every segment from the last to the first. */
  backward(loss: Tensor): void {
    loss.backward(undefined, { retainGraph: true });
    for (const { fn, input, output } of this.#segments.reverse()) {
      const gradient = output.grad;
      if (!gradient) continue; // the loss does not depend on it
      scope(() => {
        const leaf = input.detach().requiresGrad_();
        this.autocasting(() => fn(leaf)).backward(gradient);
        // The input is the output of the segment before, or a tensor of the ordinary graph: either way the gradient goes on.
        if (input.requiresGrad) input.backward(leaf.grad!, { retainGraph: true });
      });
    }
    this.#segments.length = 0;
  }
}
