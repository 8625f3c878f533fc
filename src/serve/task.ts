// What the service's main thread asks its worker, and what it answers. Plain data: tensors stay in the worker.
import type { Grid } from "../nn/rope.js";
import type { TokenizerConfig } from "../tokenizer/config.js";
import type { ClipSize } from "../tokenizer/posterior.js";

/** A model that the worker loads. */
export interface ModelPlace {
  readonly name: string;
  /** A model folder. */
  readonly folder: string;
}

export interface WorkerOptions {
  readonly models: readonly ModelPlace[];
  readonly device: string;
  readonly precision: "float32" | "bfloat16";
}

/** One batch: B clips of one size, or B latents of one grid. */
export type Task = { readonly model: string; readonly keep?: readonly number[] } & (
  | {
      readonly kind: "encode" | "reconstruct";
      /** RGB, [B, T, H, W, 3] */
      readonly bytes: Uint8Array;
      readonly shape: readonly [number, number, number, number, number];
    }
  | {
      readonly kind: "decode";
      /** [B, L, c] */
      readonly latents: Float32Array;
      readonly grid: Grid;
      readonly size: ClipSize;
    }
);

export interface Answer {
  /** encode: [B, L, c]; else RGB bytes [B, T, H, W, 3] */
  readonly data: Float32Array | Uint8Array;
  readonly grid: Grid;
}

export type ToWorker = { readonly id: number; readonly task: Task };

export type FromWorker =
  | { readonly ready: Readonly<Record<string, TokenizerConfig>> }
  | { readonly id: number; readonly answer: Answer }
  | { readonly id: number; readonly failure: string };
