// The package's public face: `import { Tokenizer } from "vitok"`. The engine loads when the first tensor is made.

export { encodeSet, planSet } from "./codec/encode-set.js";
export { type GenerateOptions, generateClips } from "./codec/generate.js";
export { loadPipeline, type Pipeline, savePipeline } from "./codec/generator-folder.js";
export { LatentLoader } from "./codec/latent-loader.js";
export { type LatentManifest, LatentSet } from "./codec/latent-set.js";
export { ConfigError } from "./config-error.js";
export { type Batch, batchOf, bytesOf, clipsOf, pixelsOf } from "./data/batch.js";
export { Loader, type LoaderOptions } from "./data/loader.js";
export { type PackOptions, type PackResult, packShards } from "./data/shards/pack.js";
export { openSource, type Source } from "./data/source.js";
export { evaluationCrop, trainingCrop } from "./data/transform.js";
export { evaluateGeneration, type GenerationScores } from "./evaluate/generation.js";
export {
  type EvaluateOptions,
  evaluateReconstruction,
  type ReconstructionScores,
} from "./evaluate/reconstruction.js";
export { AutoencoderKl } from "./formats/autoencoder-kl.js";
export { batchPatches, type PatchBatch, pictureOf } from "./formats/patch-batch.js";
export { readPth } from "./formats/pth.js";
export { VitokV2 } from "./formats/vitok-v2.js";
export {
  defineGenerator,
  type GeneratorConfig,
  type GeneratorCost,
  generatorCost,
} from "./generator/config.js";
export { addNoise } from "./generator/diffusion.js";
export type { GeneratorFacts } from "./generator/facts.js";
export type { Guidance } from "./generator/guidance.js";
export { indices, LatentGenerator, type SampleOptions } from "./generator/latent-generator.js";
export type { Clip } from "./media/clip.js";
export { MediaError } from "./media/error.js";
export { readImage, tile, writeImage } from "./media/image.js";
export { readVideo, streamVideo, type VideoOptions } from "./media/video.js";
export { probeVideo, type VideoInfo } from "./media/video-info.js";
export { openVideoWriter, type VideoWriter, writeVideo } from "./media/video-writer.js";
export { AdamW } from "./nn/adamw.js";
export { clipGradNorm } from "./nn/clip.js";
export { emaDecay, updateEma } from "./nn/ema.js";
export { freeze, loadStateDict, moveTo, parameters, stateDict } from "./nn/parameters.js";
export type { Grid } from "./nn/rope.js";
export {
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsHeader,
  writeSafetensors,
} from "./nn/safetensors.js";
export { Lpips, type LpipsOptions } from "./perceptual/lpips.js";
export {
  gridOf,
  parseVariant,
  type TokenizerConfig,
  variantName,
} from "./tokenizer/config.js";
export { type Cost, costOf } from "./tokenizer/cost.js";
export type { Keep } from "./tokenizer/decoder.js";
export { type ClipSize, Posterior } from "./tokenizer/posterior.js";
export { type Placement, Tokenizer } from "./tokenizer/tokenizer.js";
export * from "./torch/index.js";
export type { Tower } from "./tower.js";
export { loadTrainConfig, parseTrainConfig, type TrainConfig } from "./train/config.js";
export { type RunRecord, readRun } from "./train/log.js";
export type { TrainOptions, TrainResult } from "./train/train-options.js";
export { train } from "./train/trainer.js";
