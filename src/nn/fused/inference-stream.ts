// The residual stream of a tower where nothing learns: the product that ends a branch is added to the stream in place, by the
// matrix product itself, and its bias waits in one vector that the norms add on the way. Two numbers moved for each of the
// stream's where sum and norm in one pass, add-norm.ts, move four.
import {
  call,
  deviceTraits,
  float,
  int,
  isPlain,
  type Layout,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import type { LayerNorm } from "../norm.js";
import type { Branch } from "./add-norm.js";
import { bitsOf, suitsKernels } from "./choose.js";

/** Whether a tower's stream x [B, N, D] may be one: kernels run, nothing is recorded or cast, all is of one low precision. */
export function suitsInferenceStream(x: Tensor, norm: LayerNorm): boolean {
  const { weight, bias } = norm;
  const isOne = x.dtype === "bfloat16" && weight.dtype === x.dtype;
  return isPlain() && isOne && x.size(-1) % 8 === 0 && suitsKernels(x, weight, bias);
}

export class InferenceStream {
  /** Sum of the biases so far, float32 [D]; no `#`, so that a scope which returns the stream lets it out. */
  private pending: Tensor | undefined;

  /** `x` [B, N, D] is overwritten. */
  constructor(private readonly x: Tensor) {}

  /** x += linear(branch) */
  add({ x: branch, linear }: Branch): void {
    const { weight, bias } = linear;
    const rows = (tensor: Tensor) => tensor.view([-1, tensor.size(-1)]);
    call("addmm_", rows(this.x), rows(branch.contiguous()), weight.transpose(0, 1), 1, 1);
    const wide = bias.to({ dtype: "float32" });
    this.pending = this.pending ? this.pending.add(wide) : wide;
  }

  /** The norm of the stream, [B, N, D]. */
  norm(layer: LayerNorm): Tensor {
    const { weight, bias } = layer;
    const inputs = [this.x, ...(this.pending ? [this.pending] : []), weight, bias];
    return planOf(this.x, layer, this.pending !== undefined).run(...inputs)[0]!;
  }
}

function planOf(x: Tensor, norm: LayerNorm, hasPending: boolean): Plan {
  const { shape, dtype, device } = x;
  const key = `inference-norm ${shape} ${dtype} ${norm.weight.dtype} ${norm.eps} ${hasPending} ${device}`;
  return planFor(key, () => {
    const width = shape.at(-1)!;
    const rows = x.numel / width;
    const constants = {
      ...{ D: width, HAS_BRANCH: 0, HAS_PENDING: Number(hasPending) },
      ...bitsOf(x, norm.weight),
    };
    const most = 8 * deviceTraits(device).multiprocessors;
    const full: Layout = { shape, dtype };
    const vector: Layout = { shape: [width], dtype: norm.weight.dtype };
    const statistics: Layout = { shape: [rows], dtype: "float32" };
    return {
      inputs: {
        x: full,
        ...(hasPending ? { pending: { shape: [width], dtype: "float32" } } : {}),
        ...{ weight: vector, bias: vector },
      },
      forward: {
        buffers: { normed: full, mean: statistics, deviation: statistics },
        steps: [
          {
            kernel: loadKernel("add-norm", "add_norm", device, constants),
            grid: [Math.max(1, Math.min(Math.ceil(rows / 4), most))],
            block: [128],
            args: [
              ...["x", "x", "bias", "weight", "bias", "normed", "normed", "mean", "deviation"],
              ...[hasPending ? "pending" : "mean", int(rows), float(norm.eps)],
            ],
          },
        ],
      },
      outputs: ["normed"],
    };
  });
}
