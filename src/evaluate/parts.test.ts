// An evaluation in parts against the same in one go (1e-7 relative; each file's own scores exactly), and how a set is cut.

import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { stubInception } from "../../test/stub-networks.js";
import { drawnSource } from "../data/drawn-source.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { liveTensors } from "../torch/index.js";
import { rangeOf, siblingsOf } from "./parts.js";
import {
  evaluatePart,
  evaluateReconstruction,
  type ReconstructionScores,
} from "./reconstruction.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-parts-"));
const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 1 });
afterAll(() => tokenizer.dispose());
const set = drawnSource({ count: 22, size: 32, split: "val" });
const options = {
  size: 32,
  batchSize: 4,
  networks: { image: stubInception },
  fidTap: "64",
} as const;

/** Within 1e-7 of a value. */
const near = (value: number) => expect.closeTo(value, 7 - Math.ceil(Math.log10(Math.abs(value))));

test("parts are runs of whole batches that follow one another and leave nothing out", () => {
  const ranges = siblingsOf({ index: 0, count: 3 }).map((part) => rangeOf(part, 22, 4));
  expect(ranges).toEqual([
    { start: 0, end: 8 },
    { start: 8, end: 16 },
    { start: 16, end: 22 },
  ]);
  const few = siblingsOf({ index: 0, count: 4 }).map((part) => rangeOf(part, 6, 4));
  expect(few.map(({ start, end }) => end - start)).toEqual([0, 4, 0, 2]);
});

describe("parts of a set, in processes of their own", () => {
  test.each(["standard", "vitok-paper"] as const)(
    "have the scores of the whole under protocol %s, whoever ends last",
    async (protocol) => {
      const metrics =
        protocol === "standard"
          ? (["psnr", "ssim", "fid", "kid", "is"] as const)
          : (["psnr", "ssim"] as const);
      const { fidTap, ...rest } = options;
      const scoring = {
        ...rest,
        metrics,
        protocol,
        ...(protocol === "standard" ? { fidTap } : {}),
      };
      const whole = await evaluateReconstruction(tokenizer, set, scoring);
      const path = join(folder, `${protocol}.safetensors`);
      const before = liveTensors();
      const evaluate = (index: number, isResumed = false) =>
        evaluatePart(tokenizer, set, {
          ...scoring,
          ...{ part: { index, count: 3 }, state: { path, isResumed } },
        });
      expect(await evaluate(2)).toEqual({ waitingFor: [1, 2] });
      expect(await evaluate(0)).toEqual({ waitingFor: [2] });
      expect(await evaluate(0, true)).toEqual({ waitingFor: [2] }); // nothing is left to do
      const scores = (await evaluate(1)) as ReconstructionScores;
      expect(liveTensors()).toBe(before);
      for (const [name, value] of Object.entries(whole.metrics))
        expect(scores.metrics[name]).toEqual(near(value));
      expect(scores.perImage).toEqual(whole.perImage);
      expect(scores.protocol).toEqual(whole.protocol);
      expect(readdirSync(folder).filter((file) => file.startsWith(protocol))).toEqual([]);
    },
  );
});
