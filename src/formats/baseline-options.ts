// What other people's tokenizers are asked for in decoding, alike for all of them.
import { ConfigError } from "../config-error.js";

/** Pixels of an input, before padding. */
export interface ClipSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

export interface DecodeOptions {
  /** What to crop to. */
  readonly size?: ClipSize;
  /** Of Masked ViTok only: refused. */
  readonly keep?: number | readonly number[] | undefined;
}

/** @throws ConfigError where `keep` asks for what no baseline can */
export function sizeOf({ size, keep }: DecodeOptions): ClipSize | undefined {
  if (keep === undefined) return size;
  throw new ConfigError(
    "Expected a Masked ViTok for keep, received another tokenizer, which needs all its tokens. Leave keep out.",
  );
}
