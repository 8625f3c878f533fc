// The studies' files: every one at every scale gives whole recipes, and what is wrong is named. No reference but the schema.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { expandStudy } from "./cells.js";
import { loadStudy, type ScaleName, scaleNames, studyNames } from "./manifest.js";
import { paperPoints } from "./paper.js";
import { planCell, stepsOf } from "./plan.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-study-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const all = studyNames().flatMap((name) =>
  scaleNames.filter((scale) => loadStudy(name).scales[scale]).map((scale) => ({ name, scale })),
);

const plan = (name: string, scale: ScaleName, sets: [string, unknown][] = []) => {
  const study = loadStudy(name);
  return expandStudy(study, { scale, sets }).map((cell) => planCell(study.name, cell));
};

describe.each(all)("$name at $scale", ({ name, scale }) => {
  test("has cells whose recipes and scorings are whole", () => {
    const cells = plan(name, scale);
    expect(cells.length).toBeGreaterThan(1);
    for (const { steps } of cells) {
      expect(steps.map(({ kind }) => kind)).toContain("train");
      expect(steps.map(({ kind }) => kind)).toContain("evaluate");
    }
  });
});

test.each(studyNames())("%s has points of the paper, no two of the same values", (name) => {
  const { points } = paperPoints(loadStudy(name).paper.points!);
  expect(points.length).toBeGreaterThan(1);
  const places = points.map(({ kind, values }) => JSON.stringify([kind, values]));
  expect(new Set(places).size).toBe(places.length);
});

describe("a study's file", () => {
  const write = (text: string) => {
    const path = join(scratch, "study.yaml");
    writeFileSync(path, text);
    return path;
  };
  const head = `title: t\npaper: { place: nowhere }\nquestion: q\n`;

  test("with a key that is not known is an error that names the nearest", () => {
    const path = write(`${head}scales: { paper: { about: a }, small: { abuot: b } }\n`);
    expect(() => loadStudy(path)).toThrow(
      /Unknown config key "scales.small.abuot" \(.*study.yaml:4:\d+\). Did you mean "scales.small.about"\?/,
    );
  });

  test("that has no cells is refused", () => {
    const path = write(`${head}scales: { paper: { about: a }, small: { about: b } }\n`);
    expect(() => loadStudy(path)).toThrow("Expected cells for the study or its scale paper");
  });

  test("whose cell's recipe has a wrong key is refused with the cell's name", () => {
    const path = write(
      `${head}scales: { paper: { about: a }, small: { about: b } }\ncells: [{ each: { p: [8] } }]\n` +
        `recipe: { model: { variant: "Ti-Ti/{p}" }, data: { path: x, size: 16 }, train: { stepz: 4 } }\nevaluate: { metrics: [psnr] }\n`,
    );
    expect(() => plan(path, "small")).toThrow(
      'Unknown config key "train.stepz". Did you mean "train.steps"?',
    );
  });

  test("that asks for a value its cell does not have is refused", () => {
    const path = write(
      `${head}scales: { paper: { about: a }, small: { about: b } }\ncells: [{ each: { p: [8] } }]\n` +
        `recipe: { model: { variant: "Ti-Ti/{q}" }, data: { path: x, size: 16 } }\n`,
    );
    expect(() => plan(path, "small")).toThrow('Expected a value q of cell p8 for "Ti-Ti/{q}"');
  });

  test("with an override that no scoring knows is refused with the nearest", () => {
    expect(() => plan("fig3", "mini", [["evaluate.cuont", 4]])).toThrow(
      'Unknown config key "cuont". Did you mean "count"?',
    );
    expect(() => plan("fig3", "mini", [["evaluate.metrics", ["pnsr"]]])).toThrow(
      "Expected psnr or",
    );
  });

  test("that is not there is an error with the nearest name", () => {
    expect(() => loadStudy("fgi3")).toThrow('Did you mean "fig3"?');
  });
});

describe("steps", () => {
  test("are the same for the same recipe, whatever is only watched", () => {
    const [plain] = plan("fig3", "mini");
    const [watched] = plan("fig3", "mini", [
      ["train.logEvery", 3],
      ["device", "cpu"],
    ]);
    const [other] = plan("fig3", "mini", [["train.steps", 61]]);
    expect(watched!.steps[0]!.key).toBe(plain!.steps[0]!.key);
    expect(other!.steps[0]!.key).not.toBe(plain!.steps[0]!.key);
  });

  test("of a scoring depend on what is scored, and on how", () => {
    const [plain] = plan("fig3", "mini");
    const [fewer] = plan("fig3", "mini", [["evaluate.count", 4]]);
    const [, first] = plain!.steps;
    const [, second] = fewer!.steps;
    expect(second!.key).not.toBe(first!.key);
    expect(second!.needs).toEqual(first!.needs);
  });

  test("of repeated seeds are trainings of their own", () => {
    const study = loadStudy("fig3");
    const cells = expandStudy(study, { scale: "mini", seeds: 2 }).slice(0, 2);
    expect(cells.map(({ id }) => id)).toEqual(["p4-c4-seed0", "p4-c4-seed1"]);
    const [first, second] = cells.map((cell) => planCell(study.name, cell));
    expect(second!.steps[0]!.key).not.toBe(first!.steps[0]!.key);
  });

  test("of figures 3, 5, 9, 14 and 15 have the common tokenizer once", () => {
    const common = [
      ["fig3", "p8-c16"],
      ["fig5", "S-B"],
      ["fig9", "L2"],
      ["fig14", "simple-c16"],
      ["fig15", "simple-c16"],
    ].map(([name, id]) => plan(name!, "small").find(({ cell }) => cell.id === id)!.steps[0]!.key);
    expect(new Set(common).size).toBe(1);
  });

  test("that two runs of a list share are there once", () => {
    const cells = [...plan("fig3", "mini"), ...plan("fig3", "mini")];
    expect(stepsOf(cells)).toHaveLength(cells.flatMap(({ steps }) => steps).length / 2);
  });
});
