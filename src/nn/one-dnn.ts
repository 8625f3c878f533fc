// oneDNN's matrix product with what follows it fused in: for plain inference on a CPU, since it has no backward pass. In
// float32 24 % faster than the BLAS product on an AMD CPU, in bfloat16 with packed weights 12 % (docs/log.md).
import { call, isPlain, keep, noGrad, type Tensor } from "../torch/index.js";
import { float8Of } from "./float8.js";

/** Whether oneDnnLinear() may stand in for linear() here. The operator checks little, so this does. */
export function suitsOneDnn(x: Tensor, weight: Tensor): boolean {
  return (
    isPlain() &&
    process.arch === "x64" &&
    x.device === "cpu" &&
    (x.dtype === "float32" || x.dtype === "bfloat16") &&
    x.dtype === weight.dtype &&
    !float8Of(weight) &&
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

/** A bfloat16 weight's rows in oneDNN's own layout, by halves where `parts` is 2. */
interface Packed {
  readonly version: number;
  readonly parts: readonly Tensor[];
}

const packs = new WeakMap<Tensor, Packed>();

/**
 * The weight, [out, in], cut into `parts` of its rows, as oneDnnLinear() takes it. A bfloat16 one is laid out for oneDNN once
 * and kept until it changes or forgetPacked() is called: bfloat16 weights are there to be read, so the copy costs no more
 * memory than float32 would. Others are views.
 */
export function packedRows(weight: Tensor, parts: number): readonly Tensor[] {
  if (weight.dtype !== "bfloat16") return parts === 1 ? [weight] : weight.chunk(parts, 0);
  const version = call<number>("_version", weight);
  const known = packs.get(weight);
  if (known?.version === version && known.parts.length === parts) return known.parts;
  forgetPacked(weight);
  const packed = noGrad(() =>
    weight
      .chunk(parts, 0)
      .map((rows) => keep(call("mkldnn::_reorder_linear_weight", rows.contiguous()))),
  );
  packs.set(weight, { version, parts: packed });
  return packed;
}

/** Frees what packedRows() keeps beside a weight. */
export function forgetPacked(weight: Tensor): void {
  for (const part of packs.get(weight)?.parts ?? []) part.dispose();
  packs.delete(weight);
}
