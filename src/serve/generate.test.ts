// Samples over HTTP against those that the pipeline makes in this process: within 1/255 (batches add up in another order).
// The generator is tiny and untrained.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pictureOf, png, post } from "../../test/service.js";
import { saveTinyGenerator } from "../../test/tiny-generator.js";
import { generateClips } from "../codec/generate.js";
import { loadPipeline, type Pipeline } from "../codec/generator-folder.js";
import type { Clip } from "../media/clip.js";
import { readImage } from "../media/image.js";
import { type Service, startService } from "./server.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-serve-generate-"));
let service: Service;
let pipeline: Pipeline;
beforeAll(async () => {
  const [dit, tokenizer] = ["dit", "tokenizer"].map((name) => join(scratch, name)) as [
    string,
    string,
  ];
  await saveTinyGenerator(dit, tokenizer);
  pipeline = await loadPipeline(dit);
  service = await startService({
    models: [
      { name: "plain", folder: tokenizer },
      { name: "dit", folder: dit },
    ],
    ...{ device: "cpu", precision: "float32", port: 0 },
    limits: { samples: 6, batchWaitMs: 100, steps: 10 },
  });
});
afterAll(async () => {
  await service.close();
  pipeline.generator.dispose();
  pipeline.tokenizer.dispose();
  rmSync(scratch, { recursive: true });
});

interface Sample {
  readonly class: number;
  readonly name: string;
  readonly index: number;
  readonly type: string;
  readonly data: string;
}
const ask = (wanted: object) =>
  post(
    `${service.url}/v1/generate`,
    Buffer.from(JSON.stringify({ steps: 3, ...wanted })),
    "application/json",
  );
const samplesOf = async (response: Response) => {
  expect(response.status).toBe(200);
  return ((await response.json()) as { samples: Sample[] }).samples;
};
const clipOf = ({ data }: Sample): Promise<Clip> => readImage(Buffer.from(data, "base64"));

function distance(a: Clip, b: Clip): number {
  expect(a).toMatchObject({ height: b.height, width: b.width });
  return a.bytes.reduce((most, byte, i) => Math.max(most, Math.abs(byte - b.bytes[i]!)), 0);
}

describe("samples over HTTP", () => {
  test("are those of the pipeline, by names and numbers, in the order that is asked for", async () => {
    const samples = await samplesOf(await ask({ classes: ["cone", 0], count: 2, seed: 5 }));
    expect(samples.map(({ name, index }) => [name, index])).toEqual([
      ["cone", 0],
      ["cone", 1],
      ["ball", 2],
      ["ball", 3],
    ]);
    const expected = generateClips(
      pipeline,
      samples.map(({ class: label, index }) => ({ label, index })),
      { seed: 5, steps: 3, guidance: { scale: 1.5 } },
    );
    for (const [i, sample] of samples.entries()) {
      expect(sample.type).toBe("image/png");
      expect(distance(await clipOf(sample), expected[i]!)).toBeLessThanOrEqual(1);
    }
  });

  test("do not depend on who else asks at the same time, and share batches with them", async () => {
    const wanted = { classes: [1], seed: 1 };
    const [alone] = await samplesOf(await ask(wanted));
    const before = await batches();
    const answers = await Promise.all(
      [wanted, { classes: [2], seed: 2 }, { classes: [1], seed: 3 }].map(async (each) =>
        samplesOf(await ask(each)),
      ),
    );
    const [together, , other] = await Promise.all(answers.map(([sample]) => clipOf(sample!)));
    expect((await batches()) - before).toBeLessThan(3);
    expect(distance(await clipOf(alone!), together!)).toBeLessThanOrEqual(1);
    expect(distance(together!, other!)).toBeGreaterThan(5);
  });

  const batches = async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return Number(/^vitok_batches_total (\d+)$/m.exec(text)![1]);
  };

  test("change with guidance, steps and sampler", async () => {
    const wishes = [{}, { guidance: 4 }, { steps: 5 }, { sampler: "dpm++" }];
    const clips = await Promise.all(
      wishes.map(async (wish) =>
        clipOf((await samplesOf(await ask({ classes: [0], ...wish })))[0]!),
      ),
    );
    for (const other of clips.slice(1)) expect(distance(clips[0]!, other)).toBeGreaterThan(1);
  });

  test("the generator's tokenizer serves as one, too", async () => {
    const response = await post(
      `${service.url}/v1/reconstruct?model=dit`,
      await png(pictureOf(0)),
      "image/png",
    );
    expect(response.status).toBe(200);
  });

  test.each<[string, number, object, RegExp]>([
    ["a class that is none", 422, { classes: ["coen"] }, /Did you mean "cone"\?/],
    ["a number that is no class", 422, { classes: [3] }, /class from 0 to 2/],
    ["no class", 422, {}, /Body: classes/],
    ["more samples than allowed", 422, { classes: [0, 1], count: 4 }, /at most 6 samples/],
    ["more steps than allowed", 422, { classes: [0], steps: 11 }, /10 steps/],
    ["a format for clips", 422, { classes: [0], format: "mp4" }, /png, webp or jpg/],
    ["an unknown field", 422, { classes: [0], cfg: 3 }, /cfg/],
    ["a tokenizer", 404, { classes: [0], model: "plain" }, /Expected a generator, received plain/],
    ["a model that is none", 404, { classes: [0], model: "../x" }, /model of plain, dit/],
  ])("%s: %i", async (_, status, wanted, message) => {
    const response = await ask(wanted);
    const { error } = (await response.json()) as { error: { message: string } };
    expect([response.status, error.message]).toEqual([status, expect.stringMatching(message)]);
  });

  test("a body that is no JSON: 422, or 415 by its type", async () => {
    const send = (type: string) =>
      post(`${service.url}/v1/generate`, Buffer.from("{classes"), type);
    expect((await send("application/json")).status).toBe(422);
    expect((await send("text/plain")).status).toBe(415);
  });

  test("models tell what their generators know", async () => {
    const { models } = (await (await fetch(`${service.url}/v1/models`)).json()) as {
      models: object[];
    };
    expect(models[0]).not.toHaveProperty("generator");
    expect(models[1]).toMatchObject({
      name: "dit",
      generator: { classes: 3, classNames: ["ball", "box", "cone"], size: { height: 16 } },
    });
  });
});
