// `vitok generate MODEL --class N --count N --out DIR`: samples of a generator, decoded, as files and one grid.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type GenerateOptions, generateClips } from "../codec/generate.js";
import { loadPipeline, type Pipeline } from "../codec/generator-folder.js";
import { ConfigError } from "../config-error.js";
import { labelOf } from "../generator/class-label.js";
import { readGeneratorJson } from "../generator/facts.js";
import type { SamplerName } from "../generator/sampler.js";
import type { Clip } from "../media/clip.js";
import { frameOf } from "../media/clip.js";
import { tile, writeImage } from "../media/image.js";
import { writeVideo } from "../media/video-writer.js";
import { pickDevice } from "../torch/index.js";
import type { PlacementOptions } from "./model.js";
import { openOutput } from "./output.js";
import { openProgress } from "./progress.js";

interface GenerateCommandOptions extends PlacementOptions {
  readonly class: readonly string[];
  readonly count: number;
  readonly out: string;
  readonly seed: number;
  readonly steps: number;
  readonly sampler: SamplerName;
  readonly guidance: number;
  readonly guidanceInterval?: readonly [number, number];
  readonly guidanceRescale: number;
  readonly size?: number;
  readonly batchSize?: number;
  readonly tokenizer?: string;
  readonly fps?: number;
  readonly json?: boolean;
}

interface Sample {
  readonly label: number;
  readonly index: number;
}

export async function run(
  [target = ""]: readonly string[],
  options: GenerateCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const { device = "auto", precision = "float32", out, count, batchSize = 16 } = options;
  const folder = findGenerator(target);
  const pipeline = await loadPipeline(folder, {
    device: pickDevice(device),
    dtype: precision,
    tokenizer: options.tokenizer,
  });
  const labels = labelsOf(options.class, pipeline);
  const samples = labels.flatMap((label, place) =>
    Array.from({ length: count }, (_, i) => ({ label, index: place * count + i })),
  );
  const started = performance.now();
  const { files, shown } = await writeSamples(pipeline, samples, { ...options, batchSize });
  const rate = samples.length / ((performance.now() - started) / 1000);
  const grid = join(out, "grid.png");
  await writeImage(grid, tile(shown, Math.min(count, 32)));
  const { generator, tokenizer } = pipeline;
  generator.dispose();
  tokenizer.dispose();
  output.print(
    `${files.length} samples in ${out}, ${rate.toPrecision(3)} a second; ${shown.length} of them side by side: ${grid}`,
  );
  output.result({ out, grid, files, samplesPerSecond: rate, weights: generator.facts.weights });
  return 0;
}

const gridLimit = 1024; // samples side by side

/** Makes and writes samples batch by batch; what was written, and the first frames that the grid shows. */
async function writeSamples(
  pipeline: Pipeline,
  samples: readonly Sample[],
  options: GenerateCommandOptions & { batchSize: number },
) {
  const { batchSize, out, seed } = options;
  const { classNames, fps = 8 } = pipeline.generator.facts;
  const request = requestOf(options, pipeline);
  const progress = openProgress("generate", { total: samples.length });
  const files: { file: string; class: number; seed: number; index: number }[] = [];
  const shown: Clip[] = [];
  try {
    for (let first = 0; first < samples.length; first += batchSize) {
      const batch = samples.slice(first, first + batchSize);
      const onStep = (share: number) =>
        progress.update(first + Math.floor(share * batch.length), { unit: "sample" });
      const clips = generateClips(pipeline, batch, { ...request, onStep });
      for (const [i, { label, index }] of batch.entries()) {
        const name = `${classNames[label] ?? `class-${label}`}-${String(index).padStart(6, "0")}`;
        const stem = join(out, name.replaceAll(/[^\w.-]+/g, "-"));
        files.push({
          file: await writeClip(stem, clips[i]!, options.fps ?? fps),
          class: label,
          seed,
          index,
        });
      }
      shown.push(...clips.slice(0, gridLimit - shown.length).map((clip) => frameOf(clip, 0)));
    }
  } finally {
    progress.stop();
  }
  return { files, shown };
}

function requestOf(
  {
    seed,
    steps,
    sampler,
    guidance,
    guidanceInterval,
    guidanceRescale,
    size,
  }: GenerateCommandOptions,
  { generator }: Pipeline,
): GenerateOptions {
  const { frames } = generator.facts.size;
  return {
    ...{ seed, steps, sampler },
    guidance: { scale: guidance, interval: guidanceInterval, rescale: guidanceRescale },
    size: size ? { frames, height: size, width: size } : undefined,
  };
}

/** A picture as PNG, a clip as MP4; the file's path. */
async function writeClip(stem: string, clip: Clip, fps: number): Promise<string> {
  const file = `${stem}.${clip.frames > 1 ? "mp4" : "png"}`;
  if (clip.frames > 1) await writeVideo(file, clip, { fps });
  else await writeImage(file, clip);
  return file;
}

/** Classes by number or name, or all of them. @throws ConfigError that names the nearest class */
function labelsOf(wanted: readonly string[], { generator }: Pipeline): number[] {
  const { classes } = generator.config;
  const { classNames } = generator.facts;
  return wanted.flatMap((word) =>
    word === "all"
      ? Array.from({ length: classes }, (_, label) => label)
      : [labelOf(word, { classes, classNames })],
  );
}

const foldersOf = (target: string): string[] => [target, join(target, "model")];

/** Whether a folder, or the model of a run's folder, is a generator's. */
export const isGeneratorTarget = (target: string): boolean =>
  foldersOf(target).some((folder) => readGeneratorJson(folder) !== undefined);

/** The generator's folder: `target` itself, or `target`/model of a run. */
export function findGenerator(target: string): string {
  const found = foldersOf(target).find((folder) => readGeneratorJson(folder) !== undefined);
  if (found) return found;
  const other = foldersOf(target).find((folder) => existsSync(join(folder, "config.json")));
  throw new ConfigError(
    other
      ? `Expected a generator's folder for MODEL, received ${other}, which holds a tokenizer. Train a generator of its latents: train.stage: generator.`
      : `Expected a generator's or its run's folder for MODEL, received ${target}: there is no config.json in it or in its model/.`,
  );
}
