// Folders of latents: every row against the encoder itself (float16: within 2e-3), statistics against samples drawn from the
// rows (within their standard errors), shards by any number of processes byte for byte, and what must be refused.
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { batchOf, pixelsOf } from "../data/batch.js";
import { openDrawn } from "../data/drawn-source.js";
import type { Source } from "../data/source.js";
import { MediaError } from "../media/error.js";
import { Posterior } from "../tokenizer/posterior.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { Generator, liveTensors, randn, scope, Tensor } from "../torch/index.js";
import { encodeSet, planSet } from "./encode-set.js";
import { LatentLoader, momentsTensor } from "./latent-loader.js";
import { type LatentPlan, LatentSet, readManifest, requireTokenizer } from "./latent-set.js";

const root = mkdtempSync(join(tmpdir(), "vitok-latents-"));
const tokenizer = Tokenizer.create("Tiw48d1h4-Tiw48d1h4/1x8x4", { seed: 1 });
const whole = join(root, "whole");
let source: Source;
let plan: LatentPlan;

beforeAll(async () => {
  source = await openDrawn("drawn:train?count=11&size=16");
  const facts = { tokenizerHash: "0123456789abcdef", setHash: "set", size: 16, frames: 1 };
  plan = planSet(tokenizer, source, { ...facts, dtype: "float16", views: 2, shardSize: 4 });
  await encodeSet(tokenizer, source, { out: whole, plan, batchSize: 3 });
});
afterAll(() => {
  tokenizer.dispose();
  rmSync(root, { recursive: true });
});

/** [B, L, 2c] of some rows. */
const rowsOf = (set: LatentSet, rows: { row: number; view: number }[]) =>
  Tensor.fromBytes(set.read(rows), [rows.length, 4, 8], { dtype: "float16" }).to({
    dtype: "float32",
  });

describe("a folder of latents", () => {
  test("holds every picture's moments and its mirror image's, with labels and statistics", async () => {
    const set = new LatentSet(whole);
    expect(set.manifest).toMatchObject({ count: 11, grid: [1, 2, 2], channels: 4, views: 2 });
    expect(set.manifest.shards.map(({ count }) => count)).toEqual([4, 4, 3]);
    expect([...set.labels]).toEqual(Array.from({ length: 11 }, (_, i) => source.label(i) ?? -1));
    for (const [row, view] of [
      [0, 0],
      [5, 1],
      [10, 0],
      [10, 1],
    ] as const) {
      const pixels = pixelsOf(batchOf([await source.load(row)]));
      const { mean, logvar } = tokenizer.encode(view ? pixels.flip(-1) : pixels);
      const [ours, theirs] = rowsOf(set, [{ row, view }]).chunk(2, -1) as [Tensor, Tensor];
      expectClose(ours, mean, { atol: 2e-3, name: "mean" });
      expectClose(theirs, logvar, { atol: 2e-3, name: "log-variance" });
    }
    set.close();
  });

  test("knows the mean and deviation of posterior samples", () => {
    const set = new LatentSet(whole);
    const rows = Array.from({ length: 22 }, (_, i) => ({ row: i >> 1, view: i & 1 }));
    const posterior = new Posterior(
      rowsOf(set, rows),
      { t: 1, h: 2, w: 2 },
      { frames: 1, height: 16, width: 16 },
    );
    const generator = new Generator(5);
    const samples = Array.from({ length: 200 }, () =>
      posterior.sample(randn([22, 4, 4], { generator })),
    );
    const all = samples.map((z) => z.flatten(0, 1));
    const joined = all
      .slice(1)
      .reduce((sum, z) => sum.add(z), all[0]!)
      .div(200);
    const mean = Tensor.from(set.manifest.mean);
    expectClose(joined.mean(0), mean, { atol: 0.05, name: "mean" });
    const square = all.reduce(
      (sum, z) => sum.add(z.sub(mean).square().mean(0)),
      Tensor.from([0, 0, 0, 0]),
    );
    const std = Tensor.from(set.manifest.std);
    expectClose(square.div(200).sqrt().div(std), Tensor.from([1, 1, 1, 1]), {
      atol: 0.03,
      name: "std",
    });
    set.close();
  });

  test("is the same from several processes, and a killed one's shards are kept", async () => {
    const out = join(root, "parts");
    const share = (rank: number) =>
      encodeSet(tokenizer, source, { out, plan, batchSize: 3, rank, worldSize: 2 });
    expect(await share(0)).toBeUndefined();
    expect(() => readManifest(out)).toThrow(/without a whole latents.json. Let npx vitok encode/);
    expect(await share(1)).toMatchObject({ count: 11 });
    const files = readdirSync(whole).sort();
    expect(readdirSync(out).sort()).toEqual(files);
    for (const file of files.filter((name) => name !== "latents.json"))
      expect(readFileSync(join(out, file))).toEqual(readFileSync(join(whole, file)));

    rmSync(join(out, "shard-00001.safetensors"));
    rmSync(join(out, "latents.json"));
    const loaded: number[] = [];
    const watched: Source = {
      ...source,
      load: (i) => {
        loaded.push(i);
        return source.load(i);
      },
    };
    await encodeSet(tokenizer, watched, { out, plan, batchSize: 4 });
    expect(loaded.sort()).toEqual([4, 5, 6, 7]);
  });

  test("leaves out what cannot be read, and says so", async () => {
    const broken: Source = {
      ...source,
      load: (i) =>
        i === 2 ? Promise.reject(new MediaError("two.png", "is cut short")) : source.load(i),
    };
    const out = join(root, "broken");
    const manifest = await encodeSet(tokenizer, broken, { out, plan, batchSize: 4 });
    expect(manifest).toMatchObject({ count: 10, unreadable: [{ file: source.id(2) }] });
    const set = new LatentSet(out);
    expect(set.length).toBe(10);
    set.close();
  });

  test("leaves no tensor behind", async () => {
    const before = liveTensors();
    await encodeSet(tokenizer, source, { out: join(root, "leak"), plan, batchSize: 3 });
    expect(liveTensors()).toBe(before);
  });
});

describe("the loader of latents", () => {
  const open = (options: object = {}) =>
    new LatentLoader(new LatentSet(whole), { batchSize: 4, seed: 3, flip: true, ...options });

  test("shows each row once an epoch, in an order of the seed, from any sample on", async () => {
    const loader = open();
    const seen: string[] = [];
    for (let i = 0; i < 11; i++) seen.push(...(await loader.next()).files);
    expect(new Set(seen.slice(0, 11)).size).toBe(11);
    expect(seen.slice(11, 22)).not.toEqual(seen.slice(0, 11));
    const late = open({ startSample: 8 });
    expect((await late.next()).files).toEqual(seen.slice(8, 12));
    const halves = [0, 1].map((rank) => open({ rank, worldSize: 2 }));
    const parts = await Promise.all(halves.map((half) => half.next()));
    expect(parts.flatMap(({ files }) => files)).toEqual(seen.slice(0, 4));
    for (const each of [loader, late, ...halves]) each.close();
  });

  test("reads the rows it names, mirrored or not", async () => {
    const loader = open({ batchSize: 11 });
    const set = new LatentSet(whole);
    const batch = await loader.next();
    const moments = momentsTensor(batch, "cpu");
    const views = batch.files.map((name, i) => {
      const row = Number(/\d+/.exec(name)![0]);
      const [plain, mirrored] = [0, 1].map((view) => rowsOf(set, [{ row, view }]));
      const isClose = (y: Tensor) =>
        scope(() => moments.narrow(0, i, 1).sub(y).abs().amax().item() === 0);
      expect(isClose(plain!) || isClose(mirrored!)).toBe(true);
      return isClose(mirrored!);
    });
    expect(new Set(views).size).toBe(2);
    loader.close();
    set.close();
  });
});

describe("refused is", () => {
  test("a set of another tokenizer", () => {
    const manifest = readManifest(whole);
    expect(() => requireTokenizer(manifest, { folder: whole, hash: "ffff" })).toThrow(
      /Expected latents of the tokenizer ffff in .*, received those of .* 0123456789abcdef. Encode the set/,
    );
  });

  test("going on with other options", async () => {
    const other = { ...plan, size: 32 };
    await expect(
      encodeSet(tokenizer, source, { out: whole, plan: other, batchSize: 4 }),
    ).rejects.toThrow(/size was 16, is 32. Use the old values, or another --out/);
  });

  test("a size that the tokenizer does not divide", () => {
    const facts = { tokenizerHash: "", setHash: "", frames: 1, shardSize: 4, views: 1 } as const;
    expect(() => planSet(tokenizer, source, { ...facts, size: 20, dtype: "float16" })).toThrow(
      /sides in multiples of 8 for the input, received 1 x 20 x 20/,
    );
  });

  test("a shard that was cut short or replaced", () => {
    const out = join(root, "cut");
    cpSync(whole, out, { recursive: true });
    truncateSync(join(out, "shard-00001.safetensors"), 300);
    expect(() => new LatentSet(out)).toThrow(/safetensors file for .*shard-00001/);
    writeFileSync(join(out, "latents.json"), '{"format": "vitok-latents-1"}');
    expect(() => new LatentSet(out)).toThrow(
      /Expected a description of latents in .*tokenizerHash/,
    );
  });
});
