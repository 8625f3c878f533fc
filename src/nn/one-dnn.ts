// oneDNN's matrix product with what follows it fused in: for plain inference on a CPU, since it has no backward pass. In
// float32 up to 28 % faster than the BLAS product on an AMD CPU, in bfloat16 about 2 % (docs/log.md).
import { call, isPlain, type Tensor } from "../torch/index.js";

/** Whether oneDnnLinear() may stand in for linear() here. The operator checks little, so this does. */
export function suitsOneDnn(x: Tensor, weight: Tensor): boolean {
  return (
    isPlain() &&
    process.arch === "x64" &&
    x.device === "cpu" &&
    (x.dtype === "float32" || x.dtype === "bfloat16") &&
    x.dtype === weight.dtype &&
    x.shape.at(-1) === weight.shape[1] &&
    x.numel > 0
  );
}

/** x W^T + b, then silu or a product with `times`, one number for each of the output's. */
export function oneDnnLinear(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  then: { silu?: boolean; times?: Tensor } = {},
): Tensor {
  return then.times
    ? call("mkldnn::_linear_pointwise.binary", x, then.times, weight, bias, "mul")
    : call("mkldnn::_linear_pointwise", x, weight, bias, then.silu ? "swish" : "none", [], "");
}
