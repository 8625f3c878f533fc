// Tar shards as a source, and the loader over them: labels, patterns, damage, splits, exact resume. On shards made here of
// drawn pictures; no reference, everything exact.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { numberedClip, numbersOf } from "../../../test/video-files.js";
import { encodeAnimation } from "../../media/animation.js";
import { encodeFilm } from "../../media/film.js";
import { encodeImage } from "../../media/image.js";
import type { Batch } from "../batch.js";
import { drawPicture } from "../drawn.js";
import { Loader } from "../loader.js";
import { openSource, type Source } from "../source.js";
import { tarEnd, tarEntry } from "./tar.js";

const root = mkdtempSync(join(tmpdir(), "vitok-shards-"));
afterAll(() => rmSync(root, { recursive: true }));

const png = (key: number) => encodeImage(drawPicture([key], 16), "png");

type Files = Readonly<Record<string, string | Uint8Array>>;

function writeShard(path: string, files: Files): string {
  const entries = Object.entries(files).flatMap(([name, data]) =>
    tarEntry(name, Buffer.from(data)),
  );
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), Buffer.concat([...entries, tarEnd]));
  return join(root, path);
}

/** Shards `name-00.tar` and so on of these lengths; picture n of the set is drawn with key n, its class is n % 3. */
async function writeShards(name: string, lengths: readonly number[]): Promise<string> {
  let key = 0;
  for (const [shard, length] of lengths.entries()) {
    const files: Record<string, string | Uint8Array> = {};
    for (let i = 0; i < length; i++, key++) {
      files[`p${key}.png`] = await png(key);
      files[`p${key}.cls`] = String(key % 3);
    }
    writeShard(`${name}/${name}-${String(shard).padStart(2, "0")}.tar`, files);
  }
  return join(root, name);
}

const named = (source: Source) =>
  Array.from({ length: source.length }, (_, index) => [source.id(index), source.label(index)]);

describe("a set of shards", () => {
  it("opens as a folder, as a pattern with braces and as a glob", async () => {
    const folder = await writeShards("patterns", [2, 3, 1]);
    const all = await openSource(folder);
    expect(all).toMatchObject({ name: "patterns", length: 6, classes: ["0", "1", "2"] });
    const some = await openSource(`${folder}/patterns-{01..02}.tar`);
    expect(named(some)).toEqual(named(all).slice(2));
    expect(named(await openSource(`${root}/pat*/patterns-0[02].tar`))).toEqual(
      [0, 1, 5].map((index) => named(all)[index]),
    );
    expect(await some.load(1)).toEqual(drawPicture([3], 16));
    expect(await some.files!(1)).toEqual([{ bytes: await png(3), extension: "png" }]);
    await expect(openSource(`${folder}/other-*.tar`)).rejects.toThrow("found none");
  });

  it("is not what a folder of pictures is, where an archive lies beside them", async () => {
    const folder = await writeShards("beside", [1]);
    writeFileSync(join(folder, "picture.png"), await png(7));
    expect(await openSource(folder)).toMatchObject({ length: 1 });
    expect((await openSource(folder)).id(0)).toBe("picture.png");
  });

  it("takes classes from .cls, from .json and from the folders of the names", async () => {
    const picture = await png(0);
    const json = writeShard("json.tar", {
      "a.png": picture,
      "a.json": '{"label": 2, "caption": "x"}',
      "b.json": '{"cls": 0}',
      "b.png": picture,
    });
    expect(named(await openSource(json)).map(([, label]) => label)).toEqual([2, 0]);
    const folders = { "dog/a.png": picture, "./cat/b.png": picture, "dog/b.png": picture };
    const source = await openSource(writeShard("folders.tar", folders));
    expect(source.classes).toEqual(["cat", "dog"]);
    expect(named(source)).toEqual([
      ...[["folders.tar/dog/a", 1] as const, ["folders.tar/cat/b", 0] as const],
      ["folders.tar/dog/b", 1],
    ]);
    const unlabelled = await openSource(
      writeShard("none.tar", { "a.png": picture, "b.png": picture }),
    );
    expect(unlabelled.classes).toEqual([]);
    expect(unlabelled.label(0)).toBeUndefined();
  });

  it("picks the picture among a sample's files, and passes over hidden ones", async () => {
    const files = {
      "._a.png": "x",
      "a.seg.png": await png(1),
      "a.png": await png(2),
      "a.txt": "x",
    };
    const source = await openSource(writeShard("pick.tar", files));
    expect(source.length).toBe(1);
    expect(await source.load(0)).toEqual(drawPicture([2], 16));
  });

  it("reads clips packed as animations, and films but for those that lack a file, which it names", async () => {
    const clip = numberedClip(20, { height: 16, width: 16 });
    const { film, strips } = await encodeFilm(clip, { fps: 8, quality: 90 });
    const [first, second] = strips as [Buffer, Buffer];
    const json = JSON.stringify(film);
    const path = writeShard("films.tar", {
      "run/a.webp": await encodeAnimation(clip, { fps: 8 }),
      ...{ "run/b.strip-0000.jpg": first, "run/b.strip-0001.jpg": second, "run/b.json": json },
      ...{ "run/c.strip-0000.jpg": first, "run/c.json": JSON.stringify({ ...film, frames: 1e12 }) },
      ...{ "run/d.strip-0000.jpg": first, "run/d.strip-0001.jpg": second },
      ...{ "run/e.json": json, "run/e.strip-0000.jpg": first, "run/e.strip-0001.jpg": second },
    });
    const padded = 512 * Math.ceil(second.length / 512);
    truncateSync(path, readFileSync(path).length - tarEnd.length - padded + 100); // in the last strip
    const source = await openSource(path, { frames: 4, fps: 8 });
    expect(source).toMatchObject({ length: 5, classes: ["run"], fps: 8 });
    for (const sample of [0, 1])
      for (const at of [0, 1]) {
        const numbers = numbersOf(await source.load(sample, { at }));
        expect(numbers).toEqual([0, 1, 2, 3].map((k) => k + 16 * at));
      }
    const reasons = [2, 3, 4].map((sample) => source.load(sample).catch(String));
    expect(await Promise.all(reasons)).toEqual([
      expect.stringContaining("run/c: has 1 of 62500000000 strips: .strip-0001.jpg is missing."),
      expect.stringContaining("run/d: has film strips, but no .json that describes them."),
      expect.stringMatching(/run\/e: ends after \d+ of \d+ bytes\.$/),
    ]);
    const [middle] = [await (await openSource(path)).load(1)]; // a frame, where pictures are wanted
    expect([middle!.frames, ...numbersOf(middle!)]).toEqual([1, 9]);
  });

  it("trusts an index for lengths and class names, and counts what a shard lacks as unreadable", async () => {
    const folder = await writeShards("indexed", [2, 2]);
    const shardlist = [0, 1].map((n) => ({ url: `indexed-0${n}.tar`, nsamples: 2 + n }));
    const index = { shardlist, classes: ["ant", "bee", "cat"] };
    writeFileSync(join(folder, "index.json"), JSON.stringify(index));
    const source = await openSource(join(folder, "index.json"));
    expect(source).toMatchObject({ name: "indexed", length: 5, classes: ["ant", "bee", "cat"] });
    expect(source.label(3)).toBe(0);
    await expect(source.load(4)).rejects.toThrow("indexed-01.tar/#2: is missing: its shard has 2.");
    writeFileSync(join(folder, "index.json"), "{}");
    await expect(openSource(folder)).rejects.toThrow("index.json, received something else");
  });

  it("says what is no archive", async () => {
    writeFileSync(join(root, "empty.tar"), "");
    await expect(openSource(join(root, "empty.tar"))).rejects.toThrow("is no tar archive");
  });
});

const options = { batchSize: 4, size: 8, seed: 3, augment: true, shuffleBuffer: 12, cacheMiB: 0 };

async function take(loader: Loader, count: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  while (batches.length < count) batches.push((await loader.next())!);
  loader.close();
  return batches;
}

describe("training from shards", () => {
  const lengths = [5, 9, 3, 7, 6, 8, 2]; // 40

  it("resumes in the middle of an epoch exactly, opened anew", async () => {
    const folder = await writeShards("resume", lengths);
    const whole = await take(new Loader(await openSource(folder), options), 24); // 2.4 epochs
    for (const steps of [1, 7, 10, 13]) {
      const loader = new Loader(await openSource(folder), { ...options, startSample: steps * 4 });
      expect(await take(loader, 24 - steps)).toEqual(whole.slice(steps));
    }
    const seen = whole.slice(0, 10).flatMap(({ files }) => files);
    expect(new Set(seen).size).toBe(40);
  });

  it("shows any number of processes the same samples together, each from shards of its own", async () => {
    const folder = await writeShards("split", lengths);
    const whole = await take(new Loader(await openSource(folder), options), 10);
    for (const worldSize of [2, 4]) {
      const ranks = Array.from({ length: worldSize }, async (_, rank) =>
        take(new Loader(await openSource(folder), { ...options, rank, worldSize }), 10),
      );
      const shares = await Promise.all(ranks);
      const together = whole.map((_, step) => shares.flatMap((share) => share[step]!.files));
      expect(together).toEqual(whole.map(({ files }) => files));
    }
  });

  it("depends on the buffer, and is a full shuffle where that holds the set", async () => {
    const source = await openSource(await writeShards("buffer", lengths));
    const orders = [1, 12, 40, 4000].map((shuffleBuffer) =>
      source.order!({ seed: 0, epoch: 0, batchSize: 4, shuffleBuffer }).join(),
    );
    expect(new Set(orders).size).toBe(3);
    expect(orders[2]).toBe(orders[3]);
  });

  it("replaces and lists what is damaged: a member, a header, a cut end, a missing picture", async () => {
    const folder = await writeShards("damaged", Array(8).fill(12));
    const shard = (n: number) => join(folder, `damaged-0${n}.tar`);
    const flip = (path: string, at: number) => {
      const bytes = readFileSync(path);
      bytes.fill(0xff, at, at + 40);
      writeFileSync(path, bytes);
    };
    flip(shard(0), 512); // the first picture's bytes
    flip(shard(1), 0); // its first header: the picture is gone, its class is left
    truncateSync(shard(2), readFileSync(shard(2)).length - 2048 - 600); // within the last picture
    const loader = new Loader(await openSource(folder), options);
    const whole = await take(loader, 24);
    expect(whole.flatMap(({ files }) => files)).toHaveLength(96);
    const reasons = loader.unreadable.map(({ reason }) => reason).sort();
    expect(reasons).toEqual([
      expect.stringMatching(/^damaged-00.tar\/p0.png: cannot be read as a picture/),
      expect.stringMatching(
        /^damaged-01.tar\/damaged between.*: is damaged between bytes 0 and \d+$/,
      ),
      "damaged-01.tar/p12: has no picture or video, only .cls.",
      expect.stringMatching(/^damaged-02.tar\/p35: ends after \d+ of \d+ bytes.$/),
    ]);
    const resumed = new Loader(await openSource(folder), { ...options, startSample: 40 });
    expect(await take(resumed, 14)).toEqual(whole.slice(10));
  });

  it("replaces and lists a film of which a strip is damaged, where a window touches it", async () => {
    const { film, strips } = await encodeFilm(numberedClip(20, { height: 16, width: 16 }), {
      ...{ fps: 8, quality: 90 },
    });
    const bad = Buffer.from(strips[1]!).fill(0xff, 2, 60);
    const entries = Array.from({ length: 40 }, (_, i) => ({
      [`f${i}.strip-0000.jpg`]: strips[0]!,
      [`f${i}.strip-0001.jpg`]: i === 7 ? bad : strips[1]!,
      [`f${i}.json`]: JSON.stringify(film),
    }));
    const path = writeShard("strips.tar", Object.assign({}, ...entries) as Files);
    const source = await openSource(path, { frames: 18, fps: 8 });
    const loader = new Loader(source, { ...options, size: 16 });
    const batches = await take(loader, 10);
    expect(batches.flatMap(({ files }) => files)).toHaveLength(40);
    expect(loader.unreadable.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^strips.tar\/f7, strip 1: cannot be read as frames: /),
    ]);
    const early = await openSource(path, { frames: 4, fps: 8 });
    expect(numbersOf(await early.load(7, { at: 0 }))).toEqual([0, 1, 2, 3]);
  });

  it("stops where more than one in twenty cannot be read", async () => {
    const folder = await writeShards("broken", [20, 20]);
    truncateSync(join(folder, "broken-01.tar"), 6000);
    writeFileSync(
      join(folder, "index.json"),
      JSON.stringify({ shardlist: [0, 1].map((n) => ({ url: `broken-0${n}.tar`, nsamples: 20 })) }),
    );
    const loader = new Loader(await openSource(folder), options);
    await expect(take(loader, 10)).rejects.toThrow(/at most 5 % unreadable files in broken/);
  });
});
