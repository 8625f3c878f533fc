// From somebody's I3D file to what i3d.ts runs on: names and shapes checked, batch norm folded into its convolution.
import type { Shape, Tensor } from "../torch/index.js";
import { logitsShape, units } from "./i3d-layers.js";
import type { Weights } from "./trunk.js";

export interface Convolution {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** By layer ("Mixed_3b.b0", "logits"), float32. */
export type I3dWeights = Readonly<Record<string, Convolution>>;

export interface I3dWeightOptions {
  /** of the batch norms */
  readonly eps: number;
  readonly device: string;
  /** named in errors; "" for given tensors */
  readonly path: string;
}

/**
 * Checks and converts a state dict: `<layer>.conv3d.weight`, `<layer>.bn.*`, `logits.conv3d.*`, in any float dtype, also
 * below a prefix ("module."). @throws an Error for a missing layer, another shape, the flow network, other classes.
 */
export function prepareI3dWeights(tensors: Weights, options: I3dWeightOptions): I3dWeights {
  const get = reader(tensors, options.path);
  const { eps, device } = options;
  const target = { dtype: "float32", device } as const;
  const folded = units.map(({ name, shape }) => {
    const width = shape.slice(0, 1);
    const weight = get(`${name}.conv3d.weight`, shape);
    const variance = get(`${name}.bn.running_var`, width);
    const scale = get(`${name}.bn.weight`, width).div(variance.add(eps).sqrt());
    const mean = get(`${name}.bn.running_mean`, width);
    const bias = get(`${name}.bn.bias`, width).sub(mean.mul(scale));
    const scaled = weight.mul(scale.reshape([-1, 1, 1, 1, 1]));
    return [name, { weight: scaled.to(target), bias: bias.to(target) }] as const;
  });
  const logits = {
    weight: get("logits.conv3d.weight", logitsShape).to(target),
    bias: get("logits.conv3d.bias", logitsShape.slice(0, 1)).to(target),
  };
  return { ...Object.fromEntries(folded), logits };
}

const firstLayer = "Conv3d_1a_7x7.conv3d.weight";

/** Looks a tensor up by name and shape, in float64. */
function reader(tensors: Weights, path: string): (name: string, shape: Shape) => Tensor {
  const prefix = Object.keys(tensors)
    .find((name) => name.endsWith(firstLayer))
    ?.slice(0, -firstLayer.length);
  return (name, shape) => {
    const tensor = tensors[(prefix ?? "") + name];
    if (tensor && String(tensor.shape) === String(shape)) return tensor.to({ dtype: "float64" });
    throw new Error(
      `Expected ${name} of shape [${shape}] for I3D (Kinetics-400), received ` +
        `${path ? `${path}: ` : ""}${describe(name, tensor)}. Give it rgb_imagenet.pt of pytorch-i3d.`,
    );
  };
}

function describe(name: string, tensor: Tensor | undefined): string {
  if (!tensor) return "none";
  const [out, into] = tensor.shape;
  if (name === firstLayer && into === 2) return `[${tensor.shape}], which is the network for flow`;
  if (name.startsWith("logits.")) return `[${tensor.shape}], which tells ${out} classes`;
  return `[${tensor.shape}]`;
}
