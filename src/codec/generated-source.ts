// A generator's samples as a source of clips, so that whatever reads a data set, scores above all, reads them as well.
// Classes are uniform: sample i is of class i modulo their number. Made batch by batch, as they are asked for.

import type { Source } from "../data/source.js";
import type { Clip } from "../media/clip.js";
import { type GenerateOptions, generateClips } from "./generate.js";
import type { Pipeline } from "./generator-folder.js";

export function generatedSource(
  pipeline: Pipeline,
  { count, batchSize, ...options }: GenerateOptions & { count: number; batchSize: number },
): Source {
  const { classes } = pipeline.generator.config;
  const classNames = Array.from(
    { length: classes },
    (_, label) => pipeline.generator.facts.classNames[label] ?? String(label),
  );
  let made: { batch: number; clips: readonly Clip[] } | undefined;
  const clipAt = (index: number): Clip => {
    const batch = Math.floor(index / batchSize);
    if (made?.batch !== batch) {
      const first = batch * batchSize;
      const samples = Array.from({ length: Math.min(batchSize, count - first) }, (_, i) => ({
        index: first + i,
        label: (first + i) % classes,
      }));
      made = { batch, clips: generateClips(pipeline, samples, options) };
    }
    return made.clips[index % batchSize]!;
  };
  return {
    name: `samples of seed ${options.seed}`,
    length: count,
    classes: classNames,
    load: async (index) => clipAt(index),
    id: (index) => `sample-${String(index).padStart(6, "0")}`,
    label: (index) => index % classes,
  };
}
