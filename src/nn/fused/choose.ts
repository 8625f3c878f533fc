// Whether a kernel stands in for its plain twin. Each fused function of this folder has both; the twin runs everywhere, says
// what is computed, and is what the kernel is tested against.
import { type Constants, hasKernels, isRecording, type Tensor } from "../../torch/index.js";

let isOn = true;

/** Switches all kernels off or on, to compare the two ways; returns what was set. */
export function setFused(on: boolean): boolean {
  const before = isOn;
  isOn = on;
  return before;
}

/**
 * Whether kernels may run on x, with a layer's vectors (biases, norms): on a GPU, of dtypes that they know. 8-bit rows are what a
 * product reads whose result the kernel runs on.
 */
export function suitsKernels(x: Tensor, ...vectors: readonly Tensor[]): boolean {
  return (
    isOn &&
    hasKernels(x.device) &&
    (isKnown(x) || x.dtype === "float8") &&
    x.numel > 0 &&
    vectors.every((vector) => vector.device === x.device && isKnown(vector)) &&
    new Set(vectors.map(({ dtype }) => dtype)).size <= 1 &&
    // their gradients are sums in float32
    !vectors.some(({ dtype, requiresGrad }) => dtype !== "float32" && requiresGrad && isRecording())
  );
}

/** Whether kernels may read x as bytes: uint8 on a GPU. */
export function suitsBytes(x: Tensor): boolean {
  return isOn && x.dtype === "uint8" && x.numel > 0 && hasKernels(x.device);
}

const isKnown = ({ dtype }: Tensor) => dtype === "bfloat16" || dtype === "float32";

/** The constants that say what x and a layer's vectors are made of. */
export function bitsOf(x: Tensor, vector?: Tensor): Constants {
  const bits = ({ dtype }: Tensor) => (dtype === "bfloat16" ? 16 : 32);
  return { ELEMENT_BITS: bits(x), ...(vector ? { VECTOR_BITS: bits(vector) } : {}) };
}
