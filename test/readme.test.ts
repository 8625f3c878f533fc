// The documents against the code: the README's program runs as printed, and every command, config section, file and link
// that README.md and docs/ name is there. Reference: the sources themselves, exact.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { commands } from "../src/cli/commands.js";
import { readImage } from "../src/media/image.js";
import { trainSchema } from "../src/train/config.js";
import { pictureSize, prepareProgram, readme, readmeProgram } from "./readme-program.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-readme-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs")).flatMap((name) =>
    name.endsWith(".md") ? [`docs/${name}`] : [],
  ),
];
const textOf = (document: string) => readFileSync(join(root, document), "utf8");

describe("the README", () => {
  test("has a program of six lines that runs", async () => {
    expect(readmeProgram.trim().split("\n")).toHaveLength(6);
    // From the sources, so that a stale build cannot pass; package.test.ts runs it from the package.
    const entry = new URL("../src/index.ts", import.meta.url).href;
    await prepareProgram(scratch, readmeProgram.replace('"vitok"', JSON.stringify(entry)));
    const node = ["--import", import.meta.resolve("tsx"), "program.mjs"];
    const { status, stderr } = spawnSync(process.execPath, node, {
      cwd: scratch,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const recon = await readImage(join(scratch, "recon.png"));
    expect(recon).toMatchObject({ frames: 1, height: pictureSize, width: pictureSize });
  });

  test("lists every command and no other", () => {
    const listed = [...readme.matchAll(/^\| `(?:npx )?vitok ([a-z]+)/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual(commands.map(({ name }) => name).sort());
  });

  test("lists every section of a config and its keys", () => {
    const rows = [...readme.matchAll(/^\| `([a-z]+)` \| (.+) \|$/gm)];
    for (const [section, schema] of Object.entries(trainSchema.shape)) {
      const row = rows.find(([, name]) => name === section);
      expect(row, `the row of ${section}`).toBeDefined();
      for (const key of keysOf(schema)) expect(row![2], section).toContain(`\`${key}\``);
    }
  });
});

/** The keys of a section; none of a plain value. */
function keysOf(schema: object): string[] {
  const inner = "unwrap" in schema ? (schema.unwrap as () => object)() : schema;
  return "shape" in inner ? Object.keys(inner.shape as object) : [];
}

describe.each(documents)("%s", (document) => {
  test("links to files that are there", () => {
    const targets = [...textOf(document).matchAll(/\]\(([^)#]+)[^)]*\)|src="([^"]+)"/g)]
      .map(([, link, image]) => (link ?? image)!)
      .filter((target) => !/^https?:/.test(target));
    const missing = targets.filter((target) => !existsSync(join(root, dirname(document), target)));
    expect(missing).toEqual([]);
  });

  test("names npm scripts, commands and recipes that exist", () => {
    const text = textOf(document);
    const { scripts } = JSON.parse(textOf("package.json")) as { scripts: object };
    const namesOf = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name);
    for (const name of namesOf(/npm run ([a-z]+)/g)) expect(scripts).toHaveProperty(name!);
    const known = commands.map(({ name }) => name);
    for (const name of namesOf(/npx vitok ([a-z]+)/g)) expect(known).toContain(name);
    for (const path of namesOf(/\b((?:configs|scripts|bench|native)\/[\w/-]+\.\w+)/g))
      expect(existsSync(join(root, path!)), path).toBe(true);
  });
});
