// What the service's main thread asks its worker, and what it answers. Plain data: tensors stay in the worker.
import type { SampleRequest } from "../codec/generate.js";
import type { Tiling } from "../codec/tiling.js";
import type { Trained } from "../codec/trained.js";
import type { GeneratorFacts } from "../generator/facts.js";
import type { SamplerName } from "../generator/sampler.js";
import type { Grid } from "../nn/rope.js";
import type { TokenizerConfig } from "../tokenizer/config.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import type { DType } from "../torch/index.js";

/** A model that the worker loads. */
export interface ModelPlace {
  readonly name: string;
  /** A tokenizer's folder, or a generator's with its tokenizer inside. */
  readonly folder: string;
}

export interface WorkerOptions {
  readonly models: readonly ModelPlace[];
  readonly device: string;
  readonly precision: DType;
}

/** What the main thread knows of a model. */
export interface ModelFacts {
  /** Of the tokenizer; a generator has one, too. */
  readonly config: TokenizerConfig;
  readonly trained: Trained;
  readonly generator?: Pick<GeneratorFacts, "classNames" | "size" | "fps"> & {
    readonly classes: number;
  };
}

/** What a tokenizer does. */
interface TokenizerTask {
  readonly size: ClipSize;
  /** Masked models: the kept length of each sample. */
  readonly keep?: readonly number[];
  /** Of one sample that is larger than the model's window. */
  readonly tiling?: Tiling;
}

/** One batch: B clips of one size, B latents of one grid, or B samples made alike. */
export type Task = { readonly model: string } & (
  | (TokenizerTask & {
      readonly kind: "encode" | "reconstruct";
      /** RGB, [B, T, H, W, 3] */
      readonly bytes: Uint8Array;
    })
  | (TokenizerTask & {
      readonly kind: "decode";
      /** [B, L, c] */
      readonly latents: Float32Array;
      readonly grid: Grid;
    })
  | {
      readonly kind: "generate";
      readonly samples: readonly SampleRequest[];
      readonly how: SamplingWish;
      /** Milliseconds, after which nobody waits for the samples any more. */
      readonly limitMs: number;
    }
);

/** How samples are made. */
export interface SamplingWish {
  readonly steps: number;
  readonly sampler: SamplerName;
  readonly guidance: number;
}

export interface Answer {
  /** encode: [B, L, c]; else RGB bytes [B, T, H, W, 3] */
  readonly data: Float32Array | Uint8Array;
  readonly grid: Grid;
}

export type ToWorker = { readonly id: number; readonly task: Task };

export type FromWorker =
  | { readonly ready: Readonly<Record<string, ModelFacts>> }
  | { readonly id: number; readonly answer: Answer }
  | { readonly id: number; readonly failure: string };
