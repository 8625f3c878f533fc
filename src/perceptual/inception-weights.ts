// From somebody's file to what inception.ts runs on: names and shapes checked, batch norm folded into its convolution.
// A file that ends early in the network serves the taps before that.
import type { Shape, Tensor } from "../torch/index.js";
import type { Tap } from "./feature-network.js";
import { type Convolution, laidOut, type Way } from "./inception-convolution.js";
import type { ConvLayer, Step } from "./inception-layers.js";
import type { Weights } from "./trunk.js";

/** One of the two networks that share names and shapes, and how their files are told apart. */
export interface InceptionKind {
  /** for a person: "the FID Inception of 2015" */
  readonly title: string;
  readonly classes: number;
  readonly steps: readonly Step[];
  /** Whether the logits have their bias; the Inception Score of 2016 is without. */
  readonly hasLogitBias: boolean;
  /** the usual name of its file */
  readonly file: string;
}

export interface InceptionWeights {
  /** by layer: "Mixed_5b.branch1x1" */
  readonly convolutions: Readonly<Record<string, Convolution>>;
  /** float64: [classes, 2048] and [classes]; absent where the file has none */
  readonly logits: { readonly weight: Tensor; readonly bias: Tensor | undefined } | undefined;
  readonly taps: readonly Tap[];
  readonly missing: string | undefined;
}

/**
 * Checks and converts a state dict: `<layer>.conv.weight` with `<layer>.bn.*`, or folded `<layer>.weight` and
 * `<layer>.bias`, in any float dtype, also below a common prefix ("module."); `fc.*` for the logits.
 * @throws an Error for the other network's weights, for another shape, and where not even the first tap is covered.
 */
export function prepareInceptionWeights(
  tensors: Weights,
  kind: InceptionKind,
  { path, device, way }: { path: string; device: string; way: Way },
): InceptionWeights {
  const refuse: Refuse = (expected, received) => {
    const from = path ? `${path}: ` : "";
    throw new Error(
      `Expected ${expected} for ${kind.title}, received ${from}${received}. Give it ${kind.file}.`,
    );
  };
  const weights = withoutPrefix(tensors);
  refuseOther(weights, kind, refuse);
  const convolutions: Record<string, Convolution> = {};
  const taps: Tap[] = [];
  const missing: string[] = [];
  for (const item of expectedLayers(kind.steps)) {
    if (typeof item === "string") {
      if (missing.length === 0) taps.push(item);
      continue;
    }
    const folded = foldedConvolution(weights, item, refuse);
    if (folded) {
      const { weight, bias } = toDevice(folded, device);
      convolutions[item.name] = { weight: laidOut(weight, way), bias };
    } else missing.push(item.name);
  }
  if (taps.length === 0) refuse("the layers up to the first max pool", `no ${missing[0]}`);
  const logits = readLogits(weights, kind, device);
  if (!logits) missing.push("fc");
  else if (missing.length === 0) taps.push("logits");
  return { convolutions, logits, taps, missing: describeMissing(missing) };
}

type Refuse = (expected: string, received: string) => never;

interface Expectation {
  readonly name: string;
  /** of the convolution's weight: [out, in, height, width] */
  readonly shape: Shape;
}

/** The network's convolutions and taps in their order; returns the channels that come out. */
export function* expectedLayers(
  steps: readonly Step[],
  channels = 3,
): Generator<Expectation | Exclude<Tap, "logits">, number> {
  for (const step of steps) {
    if (step.kind === "tap") yield step.tap;
    else if (step.kind === "conv") {
      yield { name: step.name, shape: shapeOf(step, channels) };
      channels = step.out;
    } else if (step.kind === "fork") {
      let total = 0;
      for (const branch of step.branches) total += yield* expectedLayers(branch, channels);
      channels = total;
    }
  }
  return channels;
}

const shapeOf = ({ out, kernel }: ConvLayer, channels: number): Shape => [out, channels, ...kernel];

/** State dicts of wrapped models carry a prefix: what stands before the first layer's name. */
function withoutPrefix(tensors: Weights): Weights {
  const first = Object.keys(tensors).find((name) => name.includes("Conv2d_1a_3x3."));
  const prefix = first?.slice(0, first.indexOf("Conv2d_1a_3x3."));
  if (!prefix) return tensors;
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}

const features = 2048;
const owners: Readonly<Record<number, string>> = {
  1000: "torchvision's ImageNet Inception",
  1008: "the FID Inception of 2015",
};

/** The two networks differ in their files by the classes, and by torchvision's auxiliary classifier. */
function refuseOther(weights: Weights, { classes }: InceptionKind, refuse: Refuse): void {
  const shape = weights["fc.weight"]?.shape;
  const hasAuxiliary = Object.keys(weights).some((name) => name.startsWith("AuxLogits."));
  if (shape && (shape[0] !== classes || shape[1] !== features || shape.length !== 2)) {
    const owner = owners[shape[0]!];
    const received = `fc.weight of shape [${shape}]${owner ? `, which is ${owner}` : ""}`;
    refuse(`fc.weight of shape [${classes},${features}]`, received);
  }
  if (hasAuxiliary && classes === 1008) refuse("weights", `AuxLogits.*, which is ${owners[1000]}`);
}

const batchNormEps = 1e-3;

interface Folded {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** Weight and bias in float64, batch norm folded in; undefined where the file lacks the layer. */
function foldedConvolution(
  weights: Weights,
  { name, shape }: Expectation,
  refuse: Refuse,
): Folded | undefined {
  const width = shape.slice(0, 1);
  const get = (suffix: string, expected: Shape): Tensor | undefined => {
    const tensor = weights[`${name}.${suffix}`];
    if (tensor && String(tensor.shape) !== String(expected))
      refuse(`${name}.${suffix} of shape [${expected}]`, `[${tensor.shape}]`);
    return tensor?.to({ dtype: "float64" });
  };
  const folded = { weight: get("weight", shape), bias: get("bias", width) };
  if (folded.weight && folded.bias) return { weight: folded.weight, bias: folded.bias };
  const weight = get("conv.weight", shape);
  const gamma = get("bn.weight", width);
  const beta = get("bn.bias", width);
  const mean = get("bn.running_mean", width);
  const variance = get("bn.running_var", width);
  if (!weight || !gamma || !beta || !mean || !variance) return undefined;
  const scale = gamma.div(variance.add(batchNormEps).sqrt());
  return { weight: weight.mul(scale.reshape([-1, 1, 1, 1])), bias: beta.sub(mean.mul(scale)) };
}

function toDevice({ weight, bias }: Folded, device: string): Folded {
  const target = { dtype: "float32", device } as const;
  return { weight: weight.to(target), bias: bias.to(target) };
}

function readLogits(
  weights: Weights,
  { hasLogitBias }: InceptionKind,
  device: string,
): InceptionWeights["logits"] {
  const weight = weights["fc.weight"];
  const bias = hasLogitBias ? weights["fc.bias"] : undefined;
  if (!weight || (hasLogitBias && !bias)) return undefined;
  const target = { dtype: "float64", device } as const;
  return { weight: weight.to(target), bias: bias?.to(target) };
}

function describeMissing(layers: readonly string[]): string | undefined {
  const [first, ...rest] = layers;
  if (!first) return undefined;
  return rest.length === 0 ? first : `${first} and ${rest.length} more layers`;
}
