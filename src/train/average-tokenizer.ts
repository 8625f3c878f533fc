// A tokenizer whose weights are the moving average of another's, in float32; what does not learn is shared or equal.
import { emaDecay, updateEma } from "../nn/ema.js";
import {
  disposeModel,
  freeze,
  loadStateDict,
  moveTo,
  parameters,
  stateDict,
} from "../nn/parameters.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import type { Tensor } from "../torch/index.js";
import type { RecipeState } from "./recipe.js";

export class AverageTokenizer implements RecipeState {
  readonly tokenizer: Tokenizer;
  readonly #averages: Readonly<Record<string, Tensor>>;
  readonly #weights: readonly Tensor[];

  /** Starts from the weights as they are. */
  constructor(source: Tokenizer) {
    const own = new Tokenizer(source.config);
    moveTo(own, { device: source.encoder.norm.weight.device });
    loadStateDict(own, stateDict(source));
    freeze(own);
    const isShared = [...parameters(source.encoder)].every(([, tensor]) => !tensor.requiresGrad);
    if (isShared) {
      disposeModel(own.encoder);
      Object.assign(own, { encoder: source.encoder });
    }
    const learning = [...parameters(source)].filter(([, tensor]) => tensor.requiresGrad);
    const averages = stateDict(own);
    this.tokenizer = own;
    this.#weights = learning.map(([, tensor]) => tensor);
    this.#averages = Object.fromEntries(learning.map(([name]) => [name, averages[name]!]));
  }

  /** After the update of `step`, which counts from 0. */
  update(step: number): void {
    updateEma(Object.values(this.#averages), this.#weights, emaDecay(step));
  }

  stateDict(): Record<string, Tensor> {
    return { ...this.#averages };
  }

  loadStateDict(tensors: Readonly<Record<string, Tensor>>): void {
    loadStateDict(this.#averages, tensors);
  }

  dispose(): void {
    this.tokenizer.dispose();
  }
}
