// Gradients without leaves' .grad, and the modes a computation runs in. All synchronous.
import { native } from "./binding.js";
import { type DType, dtypeCode } from "./dtype.js";
import { naming } from "./error.js";
import { Tensor } from "./tensor.js";

export interface GradOptions {
  /** Vector-Jacobian products: one a output; needed unless outputs are single numbers. */
  gradOutputs?: readonly Tensor[];
  retainGraph?: boolean;
  /** Make the gradients differentiable themselves. */
  createGraph?: boolean;
}

const handles = (tensors: readonly Tensor[]) => tensors.map((tensor) => tensor.handle);

/** d(outputs)/d(inputs), one for each input; the inputs' `grad` stays as it is. An unused input is an error. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): Tensor[] {
  const { gradOutputs, createGraph = false, retainGraph = createGraph } = options;
  return naming("grad", inputs, () =>
    native()
      .grad(
        handles(outputs),
        handles(inputs),
        gradOutputs && handles(gradOutputs),
        retainGraph,
        createGraph,
        false,
      )
      .map((handle) => new Tensor(handle as number)),
  );
}

let recording = true;

function withoutRecording<T>(fn: () => T): T {
  const before = recording;
  recording = false;
  try {
    return fn();
  } finally {
    recording = before;
  }
}

/** Runs a function without recording for autograd. */
export function noGrad<T>(fn: () => T): T {
  const before = native().setGradMode(false);
  try {
    return withoutRecording(fn);
  } finally {
    native().setGradMode(before);
  }
}

/** As noGrad, and cheaper still: what it makes can never enter autograd. */
export function inferenceMode<T>(fn: () => T): T {
  native().pushInference();
  try {
    return withoutRecording(fn);
  } finally {
    native().popInference();
  }
}

/** Whether operators are recorded for autograd. */
export function isRecording(): boolean {
  return recording;
}

const autocasts = new Map<string, DType | undefined>();

/** Whether operators run as they are called: nothing is recorded for autograd, and autocast is off on every device. */
export function isPlain(): boolean {
  return !recording && ![...autocasts.values()].some(Boolean);
}

/**
 * Runs a function with matrix products and convolutions in a lower precision, as PyTorch's autocast does. `dtype`
 * "float32" or "float64" switches it off inside. Backward belongs outside.
 */
export function autocast<T>(options: { device: string; dtype: DType }, fn: () => T): T {
  const type = options.device.split(":")[0]!;
  const before = autocasts.get(type);
  const isLow = options.dtype === "bfloat16" || options.dtype === "float16";
  const set = (dtype: DType | undefined) => {
    autocasts.set(type, dtype);
    native().setAutocast(type, dtype ? dtypeCode(dtype) : -1);
  };
  set(isLow ? options.dtype : undefined);
  try {
    return fn();
  } finally {
    set(before);
  }
}
