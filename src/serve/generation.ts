// What a request for samples asks for, and the samples as its answer. They are those of `vitok generate` with the same seed,
// classes and count.

import type { z } from "@hono/zod-openapi";
import type { SampleRequest } from "../codec/generate.js";
import { labelOf } from "../generator/class-label.js";
import { encodeFile, formatFor } from "./answer.js";
import type { generateBody, generated } from "./api.js";
import { HttpError } from "./http-error.js";
import type { Limits } from "./limits.js";
import type { Sampler, Wish } from "./sampler.js";
import type { ModelFacts } from "./task.js";

type Asked = z.output<typeof generateBody>;

/** The samples of a request, class by class. @throws HttpError for a class that is none, and above the limits */
export function samplesOf(
  { classes, count, seed, steps }: Asked,
  { size, ...known }: NonNullable<ModelFacts["generator"]>,
  limits: Limits,
): SampleRequest[] {
  const total = classes.length * count;
  const pixels = total * size.frames * size.height * size.width;
  if (total > limits.samples || pixels > limits.clipPixels || steps > limits.steps)
    throw new HttpError(
      422,
      `Expected at most ${limits.samples} samples, ${limits.clipPixels} pixels in all of them and ${limits.steps} steps, ` +
        `received ${total} samples of ${size.frames} x ${size.height} x ${size.width} and ${steps} steps. Ask for fewer.`,
    );
  return classes.flatMap((word, place) => {
    const label = labelFor(String(word), known);
    return Array.from({ length: count }, (_, i) => ({ label, seed, index: place * count + i }));
  });
}

function labelFor(word: string, known: Parameters<typeof labelOf>[1]): number {
  try {
    return labelOf(word, known);
  } catch (error) {
    throw new HttpError(422, (error as Error).message);
  }
}

/** Makes them. */
export async function answerSamples(
  asked: Asked,
  {
    sampler,
    facts,
    limits,
    wish,
  }: { sampler: Sampler; facts: ModelFacts; limits: Limits; wish: Wish },
): Promise<z.input<typeof generated>> {
  const { classNames, size, fps = 8 } = facts.generator!;
  const samples = samplesOf(asked, facts.generator!, limits);
  formatFor(size.frames, asked.format); // before the work
  const clips = await sampler.generate(samples, asked, wish);
  const files = await Promise.all(
    clips.map((clip) => encodeFile(clip, { format: asked.format, fps })),
  );
  return {
    model: wish.model,
    samples: files.map(({ bytes, type }, i) => {
      const { label, seed = 0, index } = samples[i]!;
      const name = classNames[label] ?? null;
      const data = Buffer.from(bytes).toString("base64");
      return { class: label, name, seed, index, type, data };
    }),
  };
}
