// A training run's recipe: the schema of the YAML file, its defaults and what follows from them.
// Reading the file and wording the errors is config-file.ts; whether a loss has its weights is losses/.
// Paper: section 3 and table 7; defaults are its stage 1, or its stage 2 where train.stage says so.

import { z } from "zod";
import { ConfigError } from "../config-error.js";
import { fidTaps, metricNames } from "../evaluate/plan.js";
import { parseDitName } from "../generator/config.js";
import { completeConfig, type TokenizerConfig } from "../tokenizer/config.js";
import { shortestSide } from "./buckets.js";
import { readConfigFile } from "./config-file.js";
import { data } from "./data-config.js";
import { completeGan, type GanConfig, gan } from "./gan-config.js";
import { generatorDefaults, generatorSection } from "./generator-config.js";
import { configOfModel } from "./model-start.js";

const count = z.int().positive();
const weight = z.number().nonnegative();
const share = z.number().min(0).max(1);

const tower = z.strictObject({ width: count, depth: count, heads: count });

/** A variant, or both towers and the patch size; what is written out beside a variant wins over it. */
const model = z.strictObject({
  variant: z.string().optional(),
  encoder: tower.optional(),
  decoder: tower.optional(),
  patchSize: count.optional(),
  tubeletSize: count.optional(),
  channels: count.optional(),
  latentTokens: z.int().nonnegative().optional(),
  maskable: z.boolean().optional(),
});

/** Weights of the terms; 0 leaves a term out. The names are those in the log. */
const losses = z.strictObject({
  mse: weight.default(1),
  l1: weight.default(0),
  smoothL1: weight.default(0),
  kl: weight.default(1e-3),
  lpips: weight.default(1),
  lpipsTrunk: z.enum(["vgg", "alex", "squeeze"]).default("vgg"),
  /** Stage 2 only, and 0.05 there by default; 0 trains without a discriminator. */
  adversarial: weight.optional(),
  /** LPIPS and discriminator look at a random square of this side, in pixels; 0: at everything. */
  cropSize: z.int().nonnegative().default(0),
});

const train = z.strictObject({
  stage: z.literal([1, 2, "generator"]).default(1),
  /** A model's, run's or checkpoint's folder whose weights are the start. Stage 2 needs one. */
  from: z.string().min(1).optional(),
  /** Parameters that do not learn, by name: `encoder.*`, `*.norm*`. Default: nothing; in stage 2 `[encoder.*]`. */
  freeze: z.array(z.string().min(1)).optional(),
  steps: count.default(100_000),
  /** Samples in one optimiser step, over all processes and micro-batches. Default: 1024, in stage 2 256. */
  batchSize: count.optional(),
  /** Micro-batches that a step's samples are split into, to save memory. */
  accumulate: count.default(1),
  /** Default: 1e-4 per 256 samples of the batch. */
  peakLr: z.number().positive().optional(),
  /** Default: 5 % of the steps. */
  warmupSteps: z.int().nonnegative().optional(),
  /** Default: 1e-4, for a generator 0. */
  weightDecay: weight.optional(),
  /** Default: 0.9 and 0.95, for a generator 0.9 and 0.999. */
  betas: z.tuple([share.lt(1), share.lt(1)]).optional(),
  maxGradNorm: z.number().positive().default(1),
  /** bfloat16: autocast, with float32 master weights. */
  precision: z.enum(["float32", "bfloat16"]).default("bfloat16"),
  /** On a GPU, products of float32 numbers by TensorFloat-32: several times as fast, with three decimal digits. */
  tf32: z.boolean().default(true),
  /** auto: on a GPU, our own kernels; off: libtorch's operators alone. */
  kernels: z.enum(["auto", "off"]).default("auto"),
  /** auto: with kernels, steps are replayed as one CUDA graph where they can be; off: launched one by one. */
  graph: z.enum(["auto", "off"]).default("auto"),
  /** Recompute activations in the backward pass instead of keeping them. */
  checkpointing: z.boolean().default(false),
  /** Several processes: each keeps its share of the optimizer's state only (ZeRO-1). */
  shardOptimizer: z.boolean().default(false),
  /** Masked models: the smallest kept length that training draws. */
  minKeep: count.default(32),
  /** Every so many steps; 0 is never. Default of the last three: a tenth of the steps. */
  logEvery: z.int().nonnegative().default(10),
  evalEvery: z.int().nonnegative().optional(),
  saveEvery: z.int().nonnegative().optional(),
  gridEvery: z.int().nonnegative().optional(),
  /** The last so many checkpoints stay. */
  keepCheckpoints: count.default(2),
  /** And the best one by this metric of `evaluate.metrics`, where checkpoint and evaluation fall on one step. */
  keepBest: z.enum(metricNames).optional(),
  /** Write TensorBoard's events, too: scalars and the grids of pictures. */
  tensorboard: z.boolean().default(false),
  /** An MLflow tracking server that gets parameters and numbers, too: its address, such as http://localhost:5000. */
  mlflow: z.url().optional(),
  /** CPU threads of the engine; 0 leaves it to the engine. */
  threads: z.int().nonnegative().default(0),
});

const evaluate = z.strictObject({
  /** Default: the training data, by the evaluation crop. */
  data: z.string().min(1).optional(),
  /** Side of the crop, pixels; any, also one never trained on. Default: `data.size`. */
  size: count.optional(),
  /** Default: psnr and ssim, for a generator fid. */
  metrics: z.array(z.enum(metricNames)).optional(),
  /** Channels of the Inception layer that fid looks at; 2048 by default. */
  fidTap: z.enum(fidTaps).optional(),
  /** The first so many files of the set; 0 is all of them. */
  count: z.int().nonnegative().default(0),
  /** Default: the training batch, at most 64. */
  batchSize: count.optional(),
});

export const trainSchema = z.strictObject({
  /** With train.from: what differs from that model. */
  model: model.prefault({}),
  data,
  losses: losses.prefault({}),
  gan: gan.optional(),
  /** Only with train.stage: generator. */
  generator: generatorSection.optional(),
  train: train.prefault({}),
  evaluate: evaluate.prefault({}),
  seed: z.int().nonnegative().default(0),
  /** auto: the first GPU, else the CPU. */
  device: z
    .string()
    .regex(/^(auto|cpu|cuda(:\d+)?|mps)$/, "auto, cpu, cuda, cuda:N or mps")
    .default("auto"),
  /** The run's folder. Default: runs/ and the file's name. */
  out: z.string().min(1).optional(),
});

type Written = z.output<typeof trainSchema>;
type Filled<T, K extends keyof T> = Omit<T, K> & { [P in K]-?: NonNullable<T[P]> };

/** A recipe with every default filled in; frozen. */
export interface TrainConfig
  extends Omit<Written, "model" | "losses" | "gan" | "train" | "evaluate"> {
  /** Not of a generator: its latents are its tokenizer's. */
  readonly model: TokenizerConfig;
  readonly losses: Filled<Written["losses"], "adversarial">;
  /** Only where there is a discriminator. */
  readonly gan?: GanConfig | undefined;
  readonly train: Filled<
    Written["train"],
    | "weightDecay"
    | "betas"
    | "freeze"
    | "batchSize"
    | "peakLr"
    | "warmupSteps"
    | "evalEvery"
    | "saveEvery"
    | "gridEvery"
  >;
  readonly evaluate: Filled<Written["evaluate"], "data" | "size" | "metrics" | "batchSize">;
}

/**
 * Reads a recipe. `sets` are overrides as on the command line, `train.peakLr=1e-3`, with YAML values.
 * @throws ConfigError with file, line and column: every wrong value, and an unknown key's nearest name
 */
export function loadTrainConfig(path: string, sets: readonly string[] = []): TrainConfig {
  return readConfigFile(path, { sets, schema: trainSchema, complete });
}

/** Checks a recipe that is no file. `complete` throws ConfigError; the schema's own errors are zod's. */
export function parseTrainConfig(recipe: z.input<typeof trainSchema>): TrainConfig {
  return complete(trainSchema.parse(recipe));
}

function complete(written: Written): TrainConfig {
  const { data, train, evaluate, losses, generator } = written;
  const { steps, stage, batchSize = stage === 1 ? 1024 : 256 } = train;
  const metrics = evaluate.metrics ?? (stage === "generator" ? ["fid"] : ["psnr", "ssim"]);
  const adversarial = losses.adversarial ?? (stage === 2 ? 0.05 : 0);
  refuseContradictions(written, { batchSize, adversarial, metrics });
  if (generator) parseDitName(generator.variant);
  const tenth = Math.max(1, Math.round(steps / 10));
  const { from } = train;
  const usual = stage === "generator" ? generatorDefaults : tokenizerDefaults(train, batchSize);
  const base = from === undefined || written.model.variant ? {} : configOfModel(from);
  const config: TrainConfig = {
    ...written,
    // A generator's is its tokenizer's, which lies in a folder and is read when training starts.
    model: generator ? (undefined as never) : completeConfig({ ...base, ...written.model }),
    losses: { ...losses, adversarial },
    gan: adversarial > 0 ? completeGan(written.gan, { steps, batchSize, data }) : undefined,
    train: {
      ...train,
      batchSize,
      freeze: train.freeze ?? (stage === 2 ? ["encoder.*"] : []),
      peakLr: train.peakLr ?? usual.peakLr,
      warmupSteps: train.warmupSteps ?? usual.warmupSteps,
      weightDecay: train.weightDecay ?? usual.weightDecay,
      betas: train.betas ?? usual.betas,
      evalEvery: train.evalEvery ?? tenth,
      saveEvery: train.saveEvery ?? tenth,
      gridEvery: train.gridEvery ?? tenth,
    },
    evaluate: {
      ...evaluate,
      data: evaluate.data ?? data.path,
      size: evaluate.size ?? data.size,
      metrics,
      batchSize: evaluate.batchSize ?? Math.min(batchSize, 64),
    },
  };
  const side = shortestSide(config); // throws for a shape that fits no batch, before anything is made
  if (losses.cropSize > side)
    throw new ConfigError(
      `Expected at most ${side}, the shortest side of a training batch, for losses.cropSize, received ${losses.cropSize}.`,
    );
  return deepFreeze(config);
}

/** Spec section 3. */
function tokenizerDefaults({ steps }: Written["train"], batchSize: number) {
  return {
    peakLr: (1e-4 * batchSize) / 256,
    warmupSteps: Math.round(0.05 * steps),
    weightDecay: 1e-4,
    betas: [0.9, 0.95] as [number, number],
  };
}

function refuseContradictions(
  { data, train, gan, generator, model }: Written,
  {
    batchSize,
    adversarial,
    metrics,
  }: { batchSize: number; adversarial: number; metrics: readonly string[] },
): void {
  const [from, to] = data.cropScale;
  const refuse = (what: string, name: string, received: unknown) => {
    throw new ConfigError(
      `Expected ${what} for ${name}, received ${JSON.stringify(received) ?? "nothing"}.`,
    );
  };
  if (batchSize % train.accumulate !== 0)
    refuse(`a divisor of train.batchSize (${batchSize})`, "train.accumulate", train.accumulate);
  if (from > to) refuse("[from, to]", "data.cropScale", data.cropScale);
  if ((train.stage === "generator") !== (generator !== undefined))
    refuse(
      generator ? "generator, as there is such a section," : "a section with variant and tokenizer",
      generator ? "train.stage" : "generator",
      generator ? train.stage : undefined,
    );
  if (generator && data.buckets)
    refuse("no such section for a generator, whose grid is one,", "data.buckets", data.buckets);
  if (generator && Object.values(model).some((value) => value !== undefined))
    refuse("no such section for a generator, whose latents are its tokenizer's,", "model", model);
  if (train.stage === 2 && train.from === undefined)
    refuse(
      "the folder of a stage-1 run or model",
      "train.from (stage 2 starts from one)",
      undefined,
    );
  if (train.stage === 1 && adversarial > 0)
    refuse("0 in stage 1, which has no discriminator,", "losses.adversarial", adversarial);
  if (gan && adversarial === 0)
    refuse(
      "no such section without a discriminator (losses.adversarial above 0, train.stage: 2)",
      "gan",
      gan,
    );
  if (train.keepBest && !metrics.includes(train.keepBest))
    refuse(`one of evaluate.metrics (${metrics.join(", ")})`, "train.keepBest", train.keepBest);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
