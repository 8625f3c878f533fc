// The Inflated 3D Inception (Carreira and Zisserman 2017), Kinetics-400: its 400 logits are what FVD is computed from
// (spec section 5). Reads the common PyTorch port's state dict, and runs StyleGAN-V's TorchScript module where named.
import {
  autocast,
  call,
  cat,
  conv3d,
  interpolate,
  keep,
  noGrad,
  ScriptModule,
  type Shape,
  scope,
  type Tensor,
} from "../torch/index.js";
import type { FeatureNetwork, Tap } from "./feature-network.js";
import { foldFrames } from "./frames.js";
import { type PoolStep, type Step, steps, type UnitStep } from "./i3d-layers.js";
import { type I3dWeights, prepareI3dWeights } from "./i3d-weights.js";
import { isTorchScript, readWeights } from "./read-weights.js";
import type { Weights } from "./trunk.js";
import { findWeights } from "./weights.js";

/** Whose evaluator to follow: they prepare clips differently, and their ports differ in batch norm's epsilon. */
export type I3dProtocol = "stylegan-v" | "videogpt";

const side = 224; // pixels
const fewestFrames = 10;

interface Protocol {
  /** in words, for the passport of a score */
  readonly title: string;
  readonly eps: number;
  /** float32 frames 0..255 [N, 3, H, W] -> [N, 3, 224, 224] */
  resize(frames: Tensor): Tensor;
}

const protocols: Record<I3dProtocol, Protocol> = {
  "stylegan-v": {
    title: "224 x 224 bilinear, half-pixel, x / 127.5 - 1",
    eps: 1e-3,
    resize: (frames) => interpolate(frames, { size: [side, side], mode: "bilinear" }),
  },
  videogpt: {
    title:
      "short side to 224 bilinear, half-pixel, centre crop, x / 127.5 - 1; batch norm eps 1e-5",
    eps: 1e-5,
    resize: resizeAndCrop,
  },
};

export interface I3dOptions {
  /** Default stylegan-v. */
  readonly protocol?: I3dProtocol;
  /** "cpu" or "cuda:0" */
  readonly device?: string;
  /** Where given tensors came from, for the passport. */
  readonly weightsPath?: string;
}

/** Clips [B, 3, T, 224, 224] in [-1, 1] -> logits [B, 400]. */
type Run = (clips: Tensor) => Tensor;

export class I3d implements FeatureNetwork {
  readonly name = "i3d-kinetics-400";
  readonly taps: readonly Tap[] = ["logits"];
  readonly missing = undefined;
  readonly weightsPath: string;
  readonly #protocol: Protocol;
  readonly #device: string;
  readonly #run: Run;
  readonly #release: () => void;

  /** From a state dict, copied, or a TorchScript module, which it then owns. @throws as prepareI3dWeights() does. */
  constructor(weights: Weights | ScriptModule, options: I3dOptions = {}) {
    const { protocol = "stylegan-v", device = "cpu", weightsPath: path = "" } = options;
    this.#protocol = protocols[protocol];
    this.#device = device;
    this.weightsPath = path;
    if (weights instanceof ScriptModule) {
      // forward(clips, rescale, resize, return_features): clips come prepared, features are the logits.
      this.#run = (clips) => weights.run("forward", clips, false, false, true);
      this.#release = () => weights.dispose();
    } else {
      const { eps } = this.#protocol;
      const prepared = noGrad(() =>
        scope(() => keep(prepareI3dWeights(weights, { eps, device, path }))),
      );
      this.#run = (clips) => logitsOf(prepared, clips);
      this.#release = () => {
        for (const { weight, bias } of Object.values(prepared)) {
          weight.dispose();
          bias.dispose();
        }
      };
    }
  }

  /** Loads `path`, which may be a TorchScript module (a program: name only what you trust), or the file found by name. */
  static load({ path, ...options }: Omit<I3dOptions, "weightsPath"> & { path?: string } = {}): I3d {
    const weightsPath = path ?? findWeights("i3d-kinetics-400");
    if (!isTorchScript(weightsPath))
      return scope(() => new I3d(readWeights(weightsPath), { ...options, weightsPath }));
    if (path !== undefined)
      return new I3d(new ScriptModule(path, options.device), { ...options, weightsPath });
    throw new Error(
      `Expected a state dict for I3D, received ${weightsPath}, a TorchScript module, which is a program. ` +
        "Name the file where you trust it.",
    );
  }

  get input(): string {
    return this.#protocol.title;
  }

  /** See FeatureNetwork. Clips [B, 3, T, H, W] of at least 10 frames; about 1 GB a clip of 16. */
  forward<T extends Tap>(pixels: Tensor, taps: readonly T[]): Record<T, Tensor> {
    requireClips(pixels);
    const other = taps.find((tap) => tap !== "logits");
    if (other)
      throw new Error(
        `Expected the tap logits for I3D${this.weightsPath && ` (${this.weightsPath})`}, received ${other}.`,
      );
    const device = this.#device;
    return autocast({ device, dtype: "float32" }, () =>
      noGrad(() =>
        scope(() => {
          const logits = this.#run(prepareClips(pixels.detach().to({ device }), this.#protocol));
          requireLogits(logits, pixels.size(0));
          return Object.fromEntries(taps.map((tap) => [tap, logits])) as Record<T, Tensor>;
        }),
      ),
    );
  }

  dispose(): void {
    this.#release();
  }
}

/** [B, 3, T, H, W] in 0..255 -> float32 [B, 3, T, 224, 224] in [-1, 1] */
function prepareClips(pixels: Tensor, { resize }: Protocol): Tensor {
  const resized = resize(foldFrames(pixels.to({ dtype: "float32" })));
  const clips = resized.unflatten(0, [pixels.size(0), pixels.size(2)]).permute([0, 2, 1, 3, 4]);
  return clips.div(127.5).sub(1).contiguous();
}

function resizeAndCrop(frames: Tensor): Tensor {
  const [, , height = 0, width = 0] = frames.shape;
  const scale = side / Math.min(height, width);
  const [tall, wide] = [height, width].map((length) => Math.ceil(length * scale)) as [
    number,
    number,
  ];
  const size = height < width ? ([side, wide] as const) : ([tall, side] as const);
  const resized = interpolate(frames, { size, mode: "bilinear" });
  const [top, left] = size.map((length) => Math.floor((length - side) / 2)) as [number, number];
  return resized.narrow(2, top, side).narrow(3, left, side);
}

/** The table of layers, an average over 2 x 7 x 7, the classifier, and the mean over what is left of time. */
function logitsOf(weights: I3dWeights, clips: Tensor): Tensor {
  const features = steps.reduce((x, step) => scope(() => runStep(weights, x, step)), clips);
  const pooled = call("avg_pool3d", features, [2, 7, 7], [1, 1, 1]);
  const { weight, bias } = weights.logits!;
  return conv3d(pooled, weight, bias).mean([2, 3, 4]);
}

function runStep(weights: I3dWeights, x: Tensor, step: Step): Tensor {
  if (step.kind === "unit") return runUnit(weights, x, step);
  if (step.kind === "pool") return runPool(x, step);
  const branches = step.branches.map((branch) =>
    branch.reduce((y, inner) => runStep(weights, y, inner), x),
  );
  return cat(branches, 1);
}

function runUnit(weights: I3dWeights, x: Tensor, { name, shape, stride }: UnitStep): Tensor {
  const { weight, bias } = weights[name]!;
  const { padded, padding } = padSame(x, shape.slice(2), [stride, stride, stride]);
  return call("relu_", conv3d(padded, weight, bias, { stride, padding }));
}

/** Padding is 0 here and minus infinity in libtorch: the same, since what comes in has passed a ReLU. */
function runPool(x: Tensor, { kernel, stride }: PoolStep): Tensor {
  const { padded, padding } = padSame(x, kernel, stride);
  return call("max_pool3d", padded, kernel, stride, padding);
}

/**
 * TensorFlow's SAME: sizes come out as input / stride, rounded up; an odd pixel of padding goes to the end. What is alike
 * on both sides is left to the operator, which needs no copy.
 */
function padSame(x: Tensor, kernel: Shape, stride: Shape): { padded: Tensor; padding: Shape } {
  const totals = kernel.map((k, i) => {
    const length = x.size(2 + i);
    const steps = Math.ceil(length / stride[i]!);
    return Math.max((steps - 1) * stride[i]! + k - length, 0);
  });
  const before = totals.map((total) => Math.floor(total / 2));
  if (totals.every((total) => total % 2 === 0)) return { padded: x, padding: before };
  const sides = totals.map((total, i) => [before[i]!, total - before[i]!]).reverse();
  return { padded: call("constant_pad_nd", x, sides.flat(), 0), padding: [0, 0, 0] };
}

function requireClips(pixels: Tensor): void {
  const [, channels, frames = 0] = pixels.shape;
  if (pixels.ndim === 5 && channels === 3 && frames >= fewestFrames) return;
  throw new Error(
    `Expected clips [B, 3, T, H, W] of at least ${fewestFrames} frames for I3D, received [${pixels.shape}]. ` +
      "Give longer clips (FVD is defined on 16 frames), or leave fvd out.",
  );
}

function requireLogits(logits: Tensor, clips: number): void {
  if (String(logits.shape) === `${clips},400`) return;
  throw new Error(
    `Expected logits [${clips}, 400] from the I3D module, received [${logits.shape}]. Is it another network?`,
  );
}
