// A training set by what the user wrote: pictures, or a folder of latents. Of latents a source can tell names and classes;
// what they look like is the tokenizer's to say.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../config-error.js";
import { openSource, type Source } from "../data/source.js";
import type { Window } from "../media/video-info.js";
import { manifestName, readManifest } from "./latent-set.js";

/** Whether a path is a folder of latents, as `vitok encode --data` makes them. */
export const isLatentFolder = (path: string): boolean => existsSync(join(path, manifestName));

/** @throws ConfigError, when a clip is asked for, where the set holds latents */
export async function openTrainingData(path: string, window?: Window): Promise<Source> {
  if (!isLatentFolder(path)) return openSource(path, window);
  const { source, count, classes } = readManifest(path);
  return {
    name: `latents of ${source}`,
    length: count,
    classes,
    load: async () => {
      throw new ConfigError(
        `Expected pictures to compare with, received latents in ${path}. Name the pictures: evaluate.data.`,
      );
    },
    id: (index) => `row ${index} of ${path}`,
    label: () => undefined,
  };
}
