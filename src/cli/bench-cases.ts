// What `vitok bench`, bench/anchor.ts and scripts/gpu/ time: encode, decode, round trip and train steps, on noise of the right
// shape. A step is forward, backward, clipping and AdamW on mse + 1e-3 KL (+ LPIPS through VGG16 of random weights, which cost
// what real ones do), in bfloat16 where the precision says so.

import { ConfigError } from "../config-error.js";
import { perceptual } from "../losses/perceptual.js";
import { mse } from "../losses/pixel.js";
import { weightedSum } from "../losses/weighted-sum.js";
import { AdamW } from "../nn/adamw.js";
import { Checkpointing } from "../nn/checkpointing.js";
import { clipGradNorm } from "../nn/clip.js";
import { setFused } from "../nn/fused/choose.js";
import { FusedAdamW } from "../nn/fused-adamw.js";
import { parameters } from "../nn/parameters.js";
import { working } from "../nn/working.js";
import { Lpips } from "../perceptual/lpips.js";
import { gridOf, type TokenizerConfig } from "../tokenizer/config.js";
import { costOf, type InputSize } from "../tokenizer/cost.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import {
  autocast,
  Graph,
  hasGraphs,
  noGrad,
  rand,
  randn,
  scope,
  synchronize,
  type Tensor,
} from "../torch/index.js";

export const caseNames = ["encode", "decode", "roundtrip", "train", "train-lpips"] as const;
export type CaseName = (typeof caseNames)[number];

/** plain: libtorch's operators, one by one; fused: with kernels and working copies; graph: that, recorded and replayed. */
export type Way = "plain" | "fused" | "graph";

export interface CaseOptions {
  readonly input: InputSize;
  readonly batch: number;
  readonly device: string;
  /** float8: of inference, in place of bfloat16. */
  readonly precision: "float32" | "bfloat16" | "float8";
  /** Default: graph on a GPU, else plain. */
  readonly way?: Way;
  /** A train step recomputes activations instead of keeping them. */
  readonly checkpointing?: boolean;
  /** Whether a train step clips gradients; by default it does. The kernels' optimizer always does. */
  readonly clips?: boolean;
}

export interface BenchCase {
  /** Floating-point operations of one run: two a multiply-add, a train step three forward passes. */
  readonly flops: number;
  run(): void;
  /** Runs a train step and waits for its loss. */
  loss?(): number;
  /** Names of the parameters that the last train step left without a finite gradient that is not 0. */
  idleParameters?(): string[];
  dispose(): void;
}

/** Makes a model and the inputs of one case; on a GPU, as a graph, it has run a few times by then. */
export function createCase(
  name: CaseName,
  config: TokenizerConfig,
  options: CaseOptions,
): BenchCase {
  const { macs } = costOf(config, options.input);
  const part = { encode: macs.encoder, decode: macs.decoder }[name as string] ?? macs.total;
  const isTraining = name === "train" || name === "train-lpips";
  const trunk = name === "train-lpips" ? vgg16Macs(options.input) : 0;
  const flops = 2 * (part + trunk) * options.batch * (isTraining ? 3 : 1);
  const way = options.way ?? (hasGraphs(options.device) ? "graph" : "plain");
  const before = setFused(way !== "plain");
  try {
    const made = isTraining
      ? trainStep(config, { ...options, way, lpips: name === "train-lpips" })
      : inference(name, config, { ...options, way });
    return { flops, ...made };
  } finally {
    setFused(before);
  }
}

/** The work, with kernels on or off as the way says, as a graph if it says so. */
function inWay<T>(work: () => T, { way, device }: { way: Way; device: string }) {
  if (way === "graph") {
    const graph = Graph.capture(work, { device });
    return {
      run: () => {
        graph.replay();
        return graph.result;
      },
      end: () => graph.dispose(),
    };
  }
  const run = () => {
    const before = setFused(way === "fused");
    try {
      return work();
    } finally {
      setFused(before);
    }
  };
  return { run, end() {} };
}

/** What surrounds the products. */
const activationsOf = (precision: CaseOptions["precision"]) =>
  precision === "float8" ? "bfloat16" : precision;

function inference(
  name: Exclude<CaseName, "train" | "train-lpips">,
  config: TokenizerConfig,
  { input, batch, device, precision, way }: CaseOptions & { way: Way },
) {
  const tokenizer = Tokenizer.create(config, { device, dtype: precision });
  const grid = gridOf(config, input);
  const { pixels, latent } = scope(() => {
    const length = config.latentTokens || grid.t * grid.h * grid.w;
    const dtype = activationsOf(precision);
    const noise = (shape: number[]) => randn(shape, { device }).to({ dtype });
    return {
      pixels: noise(shapeOf(batch, input)),
      latent: noise([batch, length, config.channels]),
    };
  });
  const work = {
    encode: () => tokenizer.encode(pixels).mean,
    decode: () => tokenizer.decode(latent, grid),
    roundtrip: () => tokenizer.decode(tokenizer.encode(pixels).mode(), grid),
  }[name];
  const { run, end } = noGrad(() => inWay(work, { way, device }));
  return {
    run: () => noGrad(() => scope(() => void run())),
    dispose() {
      end();
      for (const owner of [tokenizer, pixels, latent]) owner.dispose();
    },
  };
}

function trainStep(
  config: TokenizerConfig,
  options: CaseOptions & { way: Way; lpips: boolean },
): Omit<BenchCase, "flops"> {
  const { input, batch, device, precision, way } = options;
  if (precision === "float8")
    throw new ConfigError("Expected float32 or bfloat16 for a train step, received float8.");
  const tokenizer = Tokenizer.create(config, { device });
  const lpips = options.lpips ? randomLpips(device, precision) : undefined;
  const pixels = scope(() => rand(shapeOf(batch, input), { device }).mul(2).sub(1));
  const lossOf = (checkpointing: Checkpointing | undefined) => {
    const posterior = tokenizer.encode(pixels, { checkpointing });
    const noise = randn(posterior.mean.shape, { device });
    const { latent, kl } = posterior.draw(noise);
    const recon = tokenizer.decode(latent, posterior.grid, { checkpointing });
    const terms: Record<string, Tensor> = { mse: mse(recon, pixels), kl };
    if (lpips) terms.lpips = perceptual(lpips, recon, pixels);
    return weightedSum(terms, { mse: 1, kl: 1e-3, ...(lpips ? { lpips: 1 } : {}) }).loss;
  };
  const optimizer =
    way === "plain"
      ? plainOptimizer(tokenizer, options.clips ?? true)
      : fusedOptimizer(tokenizer, precision);
  const step = () => {
    optimizer.zeroGrad();
    const autocasting = <T>(fn: () => T) => autocast({ device, dtype: precision }, fn);
    const checkpointing = options.checkpointing ? new Checkpointing(autocasting) : undefined;
    const loss = autocasting(() => lossOf(checkpointing));
    if (checkpointing) checkpointing.backward(loss);
    else loss.backward();
    optimizer.update();
    return loss.detach();
  };
  const { run, end } = inWay(step, { way, device });
  return {
    run: () => scope(() => void run()),
    loss: () => scope(() => run().item()),
    idleParameters: () => scope(() => idleParameters(tokenizer)),
    dispose() {
      end();
      optimizer.zeroGrad();
      for (const owner of [optimizer, tokenizer, pixels, lpips]) owner?.dispose();
    },
  };
}

function idleParameters(tokenizer: Tokenizer): string[] {
  return [...parameters(tokenizer)]
    .filter(([, parameter]) => {
      const gradient = working(parameter).grad ?? parameter.grad;
      const size = gradient?.to({ dtype: "float32" }).abs().sum().item() ?? 0;
      return !(size > 0 && Number.isFinite(size));
    })
    .map(([name]) => name);
}

const lr = 1e-4;

function plainOptimizer(tokenizer: Tokenizer, clips: boolean) {
  const adamw = new AdamW(parameters(tokenizer));
  const learning = [...parameters(tokenizer)].map(([, tensor]) => tensor);
  return {
    zeroGrad: () => adamw.zeroGrad(),
    update() {
      if (clips) clipGradNorm(learning, 1);
      adamw.step(lr);
    },
    dispose: () => adamw.dispose(),
  };
}

function fusedOptimizer(tokenizer: Tokenizer, precision: "float32" | "bfloat16") {
  const adamw = new FusedAdamW(parameters(tokenizer), { dtype: precision });
  adamw.setRate(lr);
  return {
    zeroGrad: () => adamw.zeroGrad(),
    update() {
      adamw.clip(1);
      adamw.update();
    },
    dispose: () => adamw.dispose(),
  };
}

const vgg16Layers = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
] as const;

/** Multiply-adds of VGG16's convolutions for one frame after the other. */
function vgg16Macs({ frames, height, width }: InputSize): number {
  let [macs, inputs] = [0, 3];
  for (const [stage, outputs] of vgg16Layers.entries())
    for (const output of outputs) {
      macs += (9 * inputs * output * height * width) / 4 ** stage;
      inputs = output;
    }
  return frames * macs;
}

/** LPIPS as VGG16 has it, its weights drawn so that activations neither vanish nor grow. */
function randomLpips(device: string, dtype: "float32" | "bfloat16"): Lpips {
  return scope(() => {
    const trunk: Record<string, Tensor> = {};
    let [layer, inputs] = [0, 3];
    for (const outputs of vgg16Layers) {
      for (const output of outputs) {
        const scale = Math.sqrt(2 / (9 * inputs));
        trunk[`features.${layer}.weight`] = randn([output, inputs, 3, 3]).mul(scale);
        trunk[`features.${layer}.bias`] = randn([output]).mul(0.1);
        [layer, inputs] = [layer + 2, output];
      }
      layer++; // the pool
    }
    const heads = Object.fromEntries(
      vgg16Layers.map((outputs, i) => [
        `lin${i}.model.1.weight`,
        rand([1, outputs.at(-1)!, 1, 1]).mul(0.01),
      ]),
    );
    return new Lpips(trunk, heads, { device, dtype });
  });
}

function shapeOf(batch: number, { frames, height, width }: InputSize): number[] {
  return [batch, 3, frames, height, width];
}

/** Milliseconds of each of `steps` runs, after `warmup` others. */
export function timeRuns(
  run: () => void,
  { device, steps, warmup }: { device: string; steps: number; warmup: number },
): number[] {
  for (let i = 0; i < warmup; i++) run();
  return Array.from({ length: steps }, () => {
    synchronize(device);
    const startedMs = performance.now();
    run();
    synchronize(device);
    return performance.now() - startedMs;
  });
}

/** The middle value; of an even number of them the upper one, as the anchor has it. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
