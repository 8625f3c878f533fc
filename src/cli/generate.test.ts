// The generator on the command line: info, latents of a whole set, samples, and what is refused. The models are tiny and
// untrained: what the pictures show is not looked at here, that they depend on seed and class alone is.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { saveTinyGenerator } from "../../test/tiny-generator.js";
import { fileHash } from "../file-hash.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import type { Argument, CommandModule, Options } from "./commands.js";
import { run as encode } from "./encode.js";
import { run as evaluate } from "./evaluate.js";
import { run as generate } from "./generate.js";
import { run as info } from "./info.js";

const tsx = createRequire(import.meta.url).resolve("tsx"); // the commands run in another folder
const mainPath = fileURLToPath(new URL("main.ts", import.meta.url));
const weights = fileURLToPath(new URL("../../../shared/weights", import.meta.url));
const inception = "inception_2015_folded_partial.safetensors";
const root = mkdtempSync(join(tmpdir(), "vitok-generate-"));
const [tokenizerPath, model] = [join(root, "tokenizer"), join(root, "dit")];

/** The whole program, in a process of its own. */
function vitok(...line: string[]) {
  const child = spawnSync(process.execPath, ["--import", tsx, mainPath, ...line], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "" },
    cwd: root,
  });
  return { ...child, json: JSON.parse(child.stdout || "null") };
}

/** A command's module in this process: its status, and what --json prints. */
async function call(run: CommandModule["run"], args: Argument[], options: Options) {
  const printed: string[] = [];
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed.push(String(text));
    return true;
  });
  try {
    const status = await run(args, { json: true, device: "cpu", ...options });
    return { status, json: JSON.parse(printed.join("") || "null") };
  } finally {
    write.mockRestore();
  }
}
const defaults = {
  count: 1,
  seed: 0,
  steps: 4,
  sampler: "ddim",
  guidance: 1.5,
  guidanceRescale: 0,
};
const sample = (options: Options) =>
  call(generate as unknown as CommandModule["run"], [model], {
    ...defaults,
    fps: 8,
    out: join(root, "x"),
    ...options,
  });

beforeAll(() => saveTinyGenerator(model, tokenizerPath));
afterAll(() => rmSync(root, { recursive: true }));

describe.skipIf(!existsSync(weights))("vitok evaluate of a generator (../shared)", () => {
  const asked = { ...defaults, data: "drawn:val?count=6&size=16", metrics: ["fid"], fidTap: "64" };
  const evaluated = (options: Options) =>
    call(evaluate as unknown as CommandModule["run"], [model], {
      ...{ ...asked, count: 4, batchSize: 2, inception: join(weights, inception) },
      ...options,
    });

  test("gives scores with how they were sampled, and a page of them", async () => {
    const out = join(root, "scores");
    const report = join(root, "page.html");
    const { status, json } = await evaluated({ out, report });
    expect(status).toBe(0);
    expect(json.metrics["gFID-64"]).toBeGreaterThan(0);
    expect(json.protocol).toMatchObject({ count: 4, sampler: "ddim", steps: 4, guidance: 1.5 });
    const { report: written, ...scores } = json;
    expect(JSON.parse(readFileSync(join(out, "scores.json"), "utf8"))).toEqual(scores);
    expect(written).toBe(report);
    const page = readFileSync(report, "utf8");
    for (const text of ["ViTok generation report", "gFID-64", "ddim", "4 samples for 64 features"])
      expect(page).toContain(text);
  });

  test("scores several scales of guidance in turn, each as it would be alone", async () => {
    const { json } = await evaluated({ guidance: [1, 3] });
    const [plain, guided] = json.scales;
    expect([plain.guidance, guided.guidance, guided.protocol.guidance]).toEqual([1, 3, 3]);
    const alone = await evaluated({ guidance: 3 });
    const [together, one] = [guided, alone.json].map(({ metrics }) => metrics["gFID-64"]);
    expect(Math.abs(together / one - 1)).toBeLessThan(1e-6);
    expect(plain.metrics["gFID-64"]).not.toBeCloseTo(one, 3);
    expect(await evaluated({ guidance: [1, 3], report: join(root, "x.html") })).toEqual({
      status: 2,
      json: null,
    });
  });

  test("refuses the options of a tokenizer's latent", async () => {
    expect(await evaluated({ latent: "sample" })).toEqual({ status: 2, json: null });
  });
});

describe("vitok generate", () => {
  test("writes samples that depend on seed and class, not on the batch", async () => {
    const line = "generate dit --class box,2 --count 3 --steps 4 --device cpu --json --out a";
    const { status, json, stderr } = vitok(...line.split(" "));
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const files = json.files as { file: string; class: number }[];
    expect(files.map(({ class: label }) => label)).toEqual([1, 1, 1, 2, 2, 2]);
    expect(json.weights).toBe("ema");
    const request = { class: ["box", "2"], count: 3 };
    await sample({ ...request, out: join(root, "b"), batchSize: 4 });
    await sample({ ...request, out: join(root, "c"), seed: 1 });
    const read = (out: string, i: number) =>
      readFileSync(join(root, files[i]!.file.replace(/^a/, out)));
    for (let i = 0; i < 6; i++) expect(read("b", i).equals(read("a", i))).toBe(true);
    expect(read("c", 0).equals(read("a", 0))).toBe(false);
    expect(read("a", 1).equals(read("a", 0))).toBe(false);
    expect(readFileSync(join(root, json.grid)).length).toBeGreaterThan(100);
  });

  test.each<[string, Options, RegExp]>([
    ["a class out of range", { class: ["3"] }, /class from 0 to 2 or its name, received 3/],
    ["an unknown name", { class: ["bll"] }, /received bll. Did you mean "ball"\?/],
    ["a size of no whole grid", { size: 20 }, /sides in multiples of 8/],
    [
      "steps beyond the schedule",
      { steps: 1001 },
      /from 1 to 1000 for the sampler's steps, received 1001/,
    ],
    [
      "an interval upside down",
      { guidanceInterval: [0.8, 0.2] },
      /guidance interval, received \[0.8,0.2\]/,
    ],
  ])("refuses %s", async (_, options, message) => {
    await expect(sample({ class: ["0"], ...options })).rejects.toThrow(message);
  });

  test("refuses another tokenizer than the generator's, and a tokenizer in its place", async () => {
    const other = Tokenizer.create("Tiw48d1h4-Tiw48d1h4/1x8x4", { seed: 2 });
    other.save(join(root, "other"));
    other.dispose();
    await expect(sample({ class: ["0"], tokenizer: join(root, "other") })).rejects.toThrow(
      /Expected the tokenizer \w{16}, whose latents the generator makes, in .*other, received/,
    );
    const run = generate as unknown as CommandModule["run"];
    await expect(call(run, [tokenizerPath], { ...defaults, class: ["0"] })).rejects.toThrow(
      /Expected a generator's folder for MODEL, .* which holds a tokenizer/,
    );
  });
});

describe("vitok encode --data", () => {
  const run = encode as unknown as CommandModule["run"];
  const data = "drawn:train?count=6&size=16";
  const share = (rank: number, out: string) => {
    vi.stubEnv("RANK", String(rank));
    vi.stubEnv("WORLD_SIZE", "2");
    const options = { data, out: join(root, out), shardSize: 3 };
    return call(run, [tokenizerPath], options).finally(() => vi.unstubAllEnvs());
  };

  test("makes a folder of latents, together with other processes", async () => {
    expect((await share(1, "latents")).json).toMatchObject({ complete: false });
    const whole = { complete: true, count: 6, grid: [1, 2, 2], channels: 4 };
    expect((await share(0, "latents")).json).toMatchObject(whole);
    const manifest = JSON.parse(readFileSync(join(root, "latents/latents.json"), "utf8"));
    expect(manifest.tokenizerHash).toBe(await fileHash(join(tokenizerPath, "model.safetensors")));
  });

  test("is given files or a data set, not both, and a rank that can be", async () => {
    expect((await call(run, [tokenizerPath, ["a.png"]], { data, out: "x" })).status).toBe(2);
    expect((await call(run, [tokenizerPath], { out: "x.safetensors" })).status).toBe(2);
    await expect(share(2, "x")).rejects.toThrow(/a RANK below WORLD_SIZE, received 2 of 2/);
  });
});

describe("vitok info", () => {
  test.each([
    ["DiT-L", 458],
    ["DiT-XL", 675],
  ])("counts %s's parameters", async (name, millions) => {
    const { json } = await call(info as CommandModule["run"], [name], {});
    expect(Math.round(json.params.total / 1e6)).toBe(millions);
  });

  test.each(["dit", "run"])(
    "describes a generator by its model's or its run's folder",
    async (name) => {
      mkdirSync(join(root, "run"), { recursive: true });
      if (name === "run") symlinkSync(model, join(root, "run/model"));
      const { json } = await call(info as CommandModule["run"], [join(root, name)], {});
      const classNames = ["ball", "box", "cone"];
      expect(json).toMatchObject({ variant: "DiT-Sw48d1h4", facts: { classNames } });
      expect(json.macs).toEqual([{ tokens: 4, macs: expect.any(Number) }]);
    },
  );
});
