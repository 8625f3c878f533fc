// What the worker does with a batch. What is larger than a model's window goes through it piece by piece, as the commands do
// it; all else at once.
import { generateClips } from "../codec/generate.js";
import { loadPipeline } from "../codec/generator-folder.js";
import { decodeStream, encodeStream, type Slab } from "../codec/stream.js";
import type { Tiling } from "../codec/tiling.js";
import { readTrained, type Trained } from "../codec/trained.js";
import { batchOf, bytesOf, toDevice } from "../data/batch.js";
import { readGeneratorJson } from "../generator/facts.js";
import type { LatentGenerator } from "../generator/latent-generator.js";
import { type Clip, createClip, frameOf, joinFrames } from "../media/clip.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { type DType, noGrad, scope, Tensor } from "../torch/index.js";
import type { Answer, ModelFacts, Task } from "./task.js";

export interface LoadedModel {
  readonly tokenizer: Tokenizer;
  readonly generator?: LatentGenerator;
  readonly trained: Trained;
}

/** A tokenizer's folder, or a generator's. */
export async function loadServed(
  folder: string,
  placement: { device: string; dtype: DType },
): Promise<LoadedModel> {
  if (!readGeneratorJson(folder)) {
    const tokenizer = await Tokenizer.load(folder, placement);
    return { tokenizer, trained: readTrained(folder, tokenizer.config) };
  }
  const { tokenizer, generator } = await loadPipeline(folder, placement);
  const { frames, height, fps = 8 } = { ...generator.facts.size, ...generator.facts };
  return { tokenizer, generator, trained: { size: height, frames, fps, weights: "raw" } };
}

export function factsOf({ tokenizer, generator, trained }: LoadedModel): ModelFacts {
  const { config } = tokenizer;
  if (!generator) return { config, trained };
  const { classNames, size, fps } = generator.facts;
  const { classes } = generator.config;
  return { config, trained, generator: { classes, classNames, size, fps } };
}

export async function compute(model: LoadedModel, task: Task): Promise<Answer> {
  if (task.kind === "generate") return generate(model, task);
  const { tokenizer } = model;
  if (task.tiling) return computeLong(tokenizer, task, task.tiling);
  return scope(() => noGrad(() => computeBatch(tokenizer, task)));
}

type TokenizerTask = Exclude<Task, { kind: "generate" }>;

function computeBatch(tokenizer: Tokenizer, task: TokenizerTask): Answer {
  const { keep, size } = task;
  const { device } = tokenizer.placement;
  if (task.kind === "decode") {
    const { latents, grid } = task;
    const { channels, latentTokens } = tokenizer.config;
    const tokens = latentTokens || grid.t * grid.h * grid.w;
    const shape = [latents.length / (tokens * channels), tokens, channels];
    const recon = tokenizer.decode(Tensor.from(latents, shape, { device }), grid, { keep, size });
    return { data: bytesOf(recon), grid };
  }
  const { frames, height, width } = size;
  const count = task.bytes.length / (frames * height * width * 3);
  const batch = { ...task, shape: [count, frames, height, width, 3] } as const;
  const { mean, grid } = tokenizer.encode(toDevice(batch, device));
  if (task.kind === "encode") return { data: mean.toArray() as Float32Array, grid };
  return { data: bytesOf(tokenizer.decode(mean, grid, { keep, size })), grid };
}

/** One sample through overlapping windows: chunks of frames, tiles of large frames. */
async function computeLong(
  tokenizer: Tokenizer,
  task: TokenizerTask,
  tiling: Tiling,
): Promise<Answer> {
  const { size } = task;
  const { patchSize: p, tubeletSize: q } = tokenizer.config;
  const [t, h, w] = [size.frames / q, size.height / p, size.width / p].map(Math.ceil);
  const grid = { t: t!, h: h!, w: w! };
  const options = { tiling, source: "the body" };
  const slabs =
    task.kind === "decode"
      ? slabsOf({ values: task.latents, slices: grid.t })
      : encodeStream(tokenizer, framesOf(createClip(task.bytes, size)), options);
  if (task.kind === "encode") {
    const values: Float32Array[] = [];
    for await (const slab of slabs) values.push(slab.values.slice());
    return { data: joined(values), grid };
  }
  const clips: Clip[] = [];
  for await (const clip of decodeStream(tokenizer, slabs, { ...options, grid, size }))
    clips.push({ ...clip, bytes: clip.bytes.slice() });
  return { data: joinFrames(clips).bytes, grid };
}

async function* framesOf(clip: Clip): AsyncGenerator<Clip, void> {
  for (let index = 0; index < clip.frames; index++) yield frameOf(clip, index);
}

async function* slabsOf(slab: Slab): AsyncGenerator<Slab, void> {
  yield slab;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function generate(
  { tokenizer, generator }: LoadedModel,
  { samples, how, limitMs }: Extract<Task, { kind: "generate" }>,
): Answer {
  const { steps, sampler, guidance } = how;
  const end = performance.now() + limitMs;
  const clips = generateClips({ tokenizer, generator: generator! }, samples, {
    ...{ seed: 0, steps, sampler, guidance: { scale: guidance } },
    onStep: () => {
      if (performance.now() > end) throw new Error("Given up: nobody waits for it any more.");
    },
  });
  return { data: batchOf(clips).bytes, grid: generator!.facts.grid };
}
