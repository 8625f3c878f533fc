// What a tokenizer was trained on, as its folder tells: the windows that its inputs go through follow from it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TokenizerConfig } from "../tokenizer/config.js";
import { usualSize } from "../tokenizer/cost.js";
import type { TrainedShape } from "./tiling.js";

export interface Trained extends TrainedShape {
  /** Frames a second. */
  readonly fps: number;
  /** Which weights the folder holds. */
  readonly weights: "raw" | "ema";
}

/** What training leaves in config.json beside the architecture. */
interface Extra {
  readonly weights?: unknown;
  readonly provenance?: Readonly<Partial<Record<"size" | "frames" | "fps", unknown>>>;
}

/** By the folder's config.json; where it does not tell, what is usual for such a model. */
export function readTrained(folder: string, config: TokenizerConfig): Trained {
  const extra = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Extra;
  const usual = usualSize(config);
  const told = (name: "size" | "frames" | "fps", otherwise: number) => {
    const value = extra.provenance?.[name];
    return typeof value === "number" ? value : otherwise;
  };
  return {
    size: told("size", usual.height),
    frames: told("frames", usual.frames),
    fps: told("fps", 8),
    weights: extra.weights === "ema" ? "ema" : "raw",
  };
}
