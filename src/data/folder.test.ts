// Listing folders: order, classes, links and what is skipped, on folders made here. No reference.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { writeImage } from "../media/image.js";
import { drawPicture } from "./drawn.js";
import { listFolder } from "./folder.js";
import { openSource } from "./source.js";

const root = mkdtempSync(join(tmpdir(), "vitok-folder-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A new folder holding empty files of these names. */
function folderOf(name: string, files: readonly string[]): string {
  for (const file of files) {
    mkdirSync(dirname(join(root, name, file)), { recursive: true });
    writeFileSync(join(root, name, file), "");
  }
  return join(root, name);
}

it("lists pictures below a folder in byte order, without hidden and other files", async () => {
  const files = ["b.png", "B.JPG", "a/é.webp", "a/z.jpeg", "a-b/x.gif", "10.tif", "9.avif"];
  const folder = folderOf("order", [
    ...files,
    ".hidden.png",
    ".git/x.png",
    "notes.txt",
    "noending",
  ]);
  expect(await listFolder(folder)).toEqual([
    ...["10.tif", "9.avif", "B.JPG", "a/z.jpeg", "a/é.webp", "a-b/x.gif", "b.png"],
  ]);
});

it("follows links, but never in a circle, and passes over broken ones", async () => {
  const folder = folderOf("links", ["a/x.png"]);
  symlinkSync(folder, join(folder, "a", "circle"));
  symlinkSync(join(folder, "a"), join(folder, "b"));
  symlinkSync(join(folder, "nowhere.png"), join(folder, "broken.png"));
  expect(await listFolder(folder)).toEqual(["a/x.png", "b/x.png"]);
});

it("takes first-level sub-folders as classes where every picture lies in one", async () => {
  const source = await openSource(folderOf("classes", ["dog/2/x.png", "cat/1.png", "cat/2.png"]));
  expect(source.classes).toEqual(["cat", "dog"]);
  expect([0, 1, 2].map((index) => [source.id(index), source.label(index)])).toEqual([
    ["cat/1.png", 0],
    ["cat/2.png", 0],
    ["dog/2/x.png", 1],
  ]);
  const mixed = await openSource(folderOf("mixed", ["dog/x.png", "y.png"]));
  expect(mixed.classes).toEqual([]);
  expect(mixed.label(0)).toBeUndefined();
});

it("loads the picture it names", async () => {
  const picture = drawPicture([3], 16);
  const folder = folderOf("load", ["a.txt"]);
  await writeImage(join(folder, "a.png"), picture);
  const source = await openSource(folder);
  expect(source).toMatchObject({ name: "load", length: 1 });
  expect(await source.load(0)).toEqual(picture);
});

it("says what it looked for and what it found in a folder without pictures", async () => {
  const folder = folderOf("empty", ["a.bmp", "b.bmp", "c.txt"]);
  await expect(openSource(folder)).rejects.toThrow(
    /Expected files ending in jpg.* received 2 \.bmp, 1 \.txt/,
  );
  await expect(openSource(join(root, "nowhere"))).rejects.toThrow(
    "nowhere: cannot be listed: there is no such file or folder. Check the path.",
  );
});

it("refuses addresses that it cannot open", async () => {
  await expect(openSource("ftp://host/set")).rejects.toThrow("Copy what ftp:// holds");
});
