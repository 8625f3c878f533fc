// The embedded drawn pictures as a source: `drawn:train?count=2048&size=64&seed=0`. Pictures are drawn
// when asked for; `train` and `val` never share one.
import { ConfigError } from "../config-error.js";
import { drawnLabel, drawPicture } from "./drawn.js";
import { shapeKinds } from "./drawn-shapes.js";
import type { Source } from "./source.js";

const splits = ["train", "val"] as const;

export interface DrawnOptions {
  /** Number of pictures. */
  count?: number;
  /** Height and width, pixels. */
  size?: number;
  seed?: number;
  split?: (typeof splits)[number];
}

export function drawnSource(options: DrawnOptions = {}): Source {
  const { count = 2048, size = 64, seed = 0, split = "train" } = options;
  const key = (index: number): number[] => [seed, splits.indexOf(split), index];
  return {
    name: `drawn-${split}`,
    length: count,
    classes: shapeKinds,
    load: async (index) => drawPicture(key(index), size),
    id: (index) => `drawn-${split}-${String(index).padStart(6, "0")}`,
    label: (index) => drawnLabel(key(index)),
  };
}

/** Parses `drawn[:train|:val][?count=&size=&seed=]`; ConfigError on anything else. */
export function openDrawn(spec: string): Source {
  const [head = "", query = ""] = spec.split("?", 2);
  const name = head.replace(/^drawn:?/, "") || "train";
  const split = splits.find((known) => known === name);
  if (!split) {
    throw new ConfigError(`Expected drawn:train or drawn:val for data, received "${spec}".`);
  }
  const options: DrawnOptions = { split };
  for (const [key, value] of new URLSearchParams(query)) {
    const smallest = { count: 1, size: 8, seed: 0 }[key];
    const number = Number(value);
    if (smallest === undefined || !Number.isSafeInteger(number) || number < smallest) {
      throw new ConfigError(
        `Expected count (1 or more), size (8 or more) or seed as whole numbers for data, received "${key}=${value}". ` +
          "Write drawn:train?count=2048&size=64&seed=0.",
      );
    }
    options[key as "count" | "size" | "seed"] = number;
  }
  return drawnSource(options);
}
