// What a run would be, without its folder: the plan, and memory and time from a few steps that are really made.
import { openTrainingData } from "../codec/latent-source.js";
import { createLoader } from "../data/threaded-loader.js";
import { parameters } from "../nn/parameters.js";
import { costOf } from "../tokenizer/cost.js";
import { memory, pickDevice, resetPeakMemory, synchronize } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { createRecipe } from "./create-recipe.js";
import { alone } from "./learner.js";
import { inputSize } from "./pace.js";
import type { BatchLoader, Recipe } from "./recipe.js";
import { loaderOptions } from "./run-setup.js";

export interface DryRun {
  readonly stage: number | "generator";
  readonly variant: string;
  readonly device: string;
  readonly data: { readonly name: string; readonly files: number };
  /** Numbers of the model that learn, and that do not. */
  readonly parameters: { readonly learning: number; readonly frozen: number };
  readonly tokens: number;
  readonly latentSize: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly microBatch: number;
  readonly epochs: number;
  /** Weights, gradients and states of the recipe; and the most that was held in a step, activations and all. */
  readonly memoryMiB: { readonly states: number; readonly peak: number };
  readonly checkpointMiB: number;
  /** Of one step of the whole batch, and of all of them; evaluation and checkpoints aside. */
  readonly stepMs: number;
  readonly totalMs: number;
  readonly notes: readonly string[];
}

const timedSteps = 3;
const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);

/** Makes the recipe and a few steps of one micro-batch; nothing is written. */
export async function dryRun(config: TrainConfig): Promise<DryRun> {
  const { steps, batchSize, accumulate } = config.train;
  const microBatch = batchSize / accumulate;
  const sliced = { ...config, train: { ...config.train, batchSize: microBatch, accumulate: 1 } };
  const device = pickDevice(config.device);
  const source = await openTrainingData(config.data.path, config.data);
  resetPeakMemory(device);
  const before = memory(device).allocatedBytes;
  const recipe = await createRecipe(sliced, device);
  const loader =
    recipe.openLoader?.(0) ?? createLoader(source, loaderOptions(sliced, 0, { ...alone, device }));
  try {
    const microMs = await timeSteps(recipe, loader, device);
    const { tokens, latentSize } = recipe.latent ?? costOf(config.model, inputSize(config));
    const stepMs = microMs * accumulate;
    const sizes = sizesOf(recipe);
    return {
      ...{ stage: config.train.stage, variant: recipe.variant, device, tokens, latentSize },
      data: { name: source.name, files: source.length },
      parameters: { learning: sizes.learning, frozen: sizes.frozen },
      ...{ steps, batchSize, microBatch, epochs: (steps * batchSize) / source.length },
      memoryMiB: {
        states: mebibytes(sizes.checkpointBytes + 4 * sizes.learning),
        peak: mebibytes(memory(device).peakBytes - before),
      },
      checkpointMiB: mebibytes(sizes.checkpointBytes),
      ...{ stepMs, totalMs: stepMs * steps, notes: recipe.notes ?? [] },
    };
  } finally {
    loader.close();
    recipe.dispose();
  }
}

/** Median milliseconds of a step with its data; the first one, which allocates, is not counted. */
async function timeSteps(recipe: Recipe, loader: BatchLoader, device: string): Promise<number> {
  const times: number[] = [];
  for (let step = 0; step <= timedSteps; step++) {
    const startedMs = performance.now();
    const batch = await loader.next();
    if (!batch) throw new Error("Expected readable files for the dry run, found none.");
    recipe.step(batch, step);
    synchronize(device);
    if (step > 0) times.push(performance.now() - startedMs);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

function sizesOf(recipe: Recipe) {
  const sizes = { learning: 0, frozen: 0, checkpointBytes: 0 };
  for (const [, tensor] of parameters(recipe.model)) {
    sizes[tensor.requiresGrad ? "learning" : "frozen"] += tensor.numel;
    sizes.checkpointBytes += tensor.byteLength;
  }
  for (const state of Object.values(recipe.states))
    for (const tensor of Object.values(state.stateDict()))
      sizes.checkpointBytes += tensor.byteLength;
  return sizes;
}
