// Packing a set into shards: what comes back, resuming, and what is refused. On folders made here; exact.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { encodeImage } from "../../media/image.js";
import { drawPicture } from "../drawn.js";
import { openSource } from "../source.js";
import { packShards } from "./pack.js";

const root = mkdtempSync(join(tmpdir(), "vitok-pack-"));
afterAll(() => rmSync(root, { recursive: true }));

async function folderOf(name: string, files: readonly string[]): Promise<string> {
  for (const [key, file] of files.entries()) {
    mkdirSync(dirname(join(root, name, file)), { recursive: true });
    writeFileSync(join(root, name, file), await encodeImage(drawPicture([key], 8), "png"));
  }
  return join(root, name);
}

const many = Array.from({ length: 10 }, (_, i) => `${i % 2 ? "cat" : "dog"}/${i}.png`);

it("keeps every file's bytes and class, shuffled over the shards", async () => {
  const source = await openSource(await folderOf("set", many));
  const out = join(root, "set-out");
  const result = await packShards(source, { out, shardSize: 4, shuffleSeed: 0 });
  expect(result).toMatchObject({ shards: 3, samples: 10, kept: 0, unreadable: [] });
  expect(readdirSync(out).sort()).toEqual([
    ...["index.json", "set-000000.tar", "set-000001.tar", "set-000002.tar"],
  ]);
  const packed = await openSource(out);
  expect(packed).toMatchObject({ length: 10, classes: ["cat", "dog"] });
  const found = new Map<string, [Uint8Array, number | undefined]>();
  for (let i = 0; i < 10; i++) {
    const key = packed.id(i).replace(/^set-\d+\.tar\//, "");
    found.set(key, [(await packed.files!(i))[0]!.bytes, packed.label(i)]);
  }
  for (let i = 0; i < 10; i++)
    expect(found.get(source.id(i).replace(".png", ""))).toEqual([
      (await source.files!(i))[0]!.bytes,
      source.label(i),
    ]);
  expect([...found.keys()]).not.toEqual(many.map((name) => name.replace(".png", "")).sort());
});

it("keeps the order where asked to, and tells names apart that differ in dots or extension", async () => {
  const files = ["a.b.png", "a_b.png", "c.jpeg.png", "c.png"];
  const source = await openSource(await folderOf("dots", files));
  const out = join(root, "dots-out");
  await packShards(source, { out, shardSize: 100 });
  const packed = await openSource(out);
  expect([0, 1, 2, 3].map((i) => packed.id(i))).toEqual(
    ["a_b", "a_b-2", "c_jpeg", "c"].map((key) => `dots-000000.tar/${key}`),
  );
  for (let i = 0; i < 4; i++) expect(await packed.load(i)).toEqual(await source.load(i));
});

it("goes on after its last whole shard and ends as if never interrupted", async () => {
  const source = await openSource(await folderOf("resume", many));
  const [whole, cut] = [join(root, "resume-whole"), join(root, "resume-cut")];
  await packShards(source, { out: whole, shardSize: 3, shuffleSeed: 0 });
  const stopped = { out: cut, shardSize: 3, shuffleSeed: 0 };
  const stop = (done: number) => {
    if (done === 6) throw new Error("killed");
  };
  await expect(packShards(source, { ...stopped, onProgress: stop })).rejects.toThrow("killed");
  writeFileSync(join(cut, "resume-000002.tar.99.tmp"), "half a shard");
  expect(readdirSync(cut)).not.toContain("index.json");
  const { mtimeMs } = statSync(join(cut, "resume-000000.tar"));
  expect(await packShards(source, stopped)).toMatchObject({ kept: 2, shards: 4, samples: 10 });
  expect(statSync(join(cut, "resume-000000.tar")).mtimeMs).toBe(mtimeMs);
  expect(readdirSync(cut).sort()).toEqual(readdirSync(whole).sort());
  for (const name of readdirSync(whole))
    expect(readFileSync(join(cut, name))).toEqual(readFileSync(join(whole, name)));
});

it("refuses to go on in another set's shards", async () => {
  const out = join(root, "foreign");
  await packShards(await openSource(await folderOf("foreign-set", many)), {
    out,
    shardSize: 5,
    shuffleSeed: 0,
  });
  const other = await openSource(await folderOf("foreign-set", ["dog/other.png"]));
  await expect(packShards(other, { out, shardSize: 5 })).rejects.toThrow("Choose another --out");
});

it("packs drawn pictures as PNG and shards anew", async () => {
  const [drawn, again] = [join(root, "drawn"), join(root, "again")];
  await packShards(await openSource("drawn:val?count=5&size=16"), { out: drawn, shardSize: 2 });
  await packShards(await openSource(drawn), { out: again, shardSize: 5 });
  const source = await openSource(again);
  const original = await openSource("drawn:val?count=5&size=16");
  for (let i = 0; i < 5; i++) {
    expect(await source.load(i)).toEqual(await original.load(i));
    expect(source.label(i)).toBe(original.label(i));
  }
  expect(source.classes).toEqual(original.classes);
});

it("leaves out and lists what cannot be read, and stops where that is too much", async () => {
  const source = await openSource(await folderOf("gone", many));
  for (const name of many.slice(0, 2)) rmSync(join(root, "gone", name));
  const out = join(root, "gone-out");
  const result = await packShards(source, { out, shardSize: 4 });
  expect(result).toMatchObject({ samples: 8 });
  expect(result.unreadable.map(({ file }) => file).sort()).toEqual(many.slice(0, 2).sort());
  const again = await packShards(source, { out, shardSize: 4 });
  expect(again.unreadable).toHaveLength(2);
  rmSync(join(root, "gone", many[2]!));
  const failure = packShards(source, { out: join(root, "gone-more"), shardSize: 4 });
  await expect(failure).rejects.toThrow("at most 5 % unreadable");
});
