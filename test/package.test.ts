// The package as a user gets it: packed, installed into an empty project without development packages, then its command and
// the README's program run there on the engine that this clone built. Needs dist/, which `npm test` compiles first.
// Reference: the contract (exact). Skipped, with a line that says so, where npm reaches no registry.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, expect, test } from "vitest";
import { readImage } from "../src/media/image.js";
import { pictureSize, prepareProgram, readmeProgram } from "./readme-program.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-package-"));
const app = join(scratch, "app");
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

// By address: the scripts are plain JavaScript, outside of what TypeScript checks here.
const load = (name: string) =>
  import(new URL(`../scripts/setup/${name}.mjs`, import.meta.url).href);
const [{ readEngine }, { buildFolder }] = await Promise.all([load("addon"), load("paths")]);
const addon =
  process.env.VITOK_ADDON || join(buildFolder(root), readEngine(buildFolder(root)).addon);

function run(command: string, args: readonly string[], cwd = app) {
  const env = { ...process.env, VITOK_ADDON: addon, NODE_PATH: "", NO_COLOR: "1", FORCE_COLOR: "" };
  return spawnSync(command, args, { cwd, env, encoding: "utf8" });
}

/** Packs and installs; the reason where there is no registry to install from. */
function install(): string | undefined {
  mkdirSync(app);
  const pack = run("npm", ["pack", "--pack-destination", scratch], root);
  expect(pack.status, pack.stderr).toBe(0);
  writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true }));
  const tarball = readdirSync(scratch).find((name) => name.endsWith(".tgz"))!;
  const flags = ["--omit=dev", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=0"];
  const { status, stderr } = run("npm", ["install", ...flags, join(scratch, tarball)]);
  const code = /npm error code (\w+)/.exec(stderr)?.[1];
  const isOffline = /^(ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|ENOTCACHED|E403|E5\d\d)$/.test(
    code ?? "",
  );
  if (!isOffline) expect(status, stderr).toBe(0);
  return isOffline ? `npm reaches no registry (${code})` : undefined;
}

const obstacle = install();
beforeEach(({ skip }) => skip(obstacle !== undefined, obstacle));

test("the package holds what runs and what set-up compiles, and nothing else", () => {
  const files = readdirSync(join(app, "node_modules/vitok")).sort();
  const wanted = ["CHANGELOG.md", "LICENSE", "README.md", "configs", "dist", "native", "scripts"];
  if (existsSync(join(root, "models"))) wanted.push("models");
  expect(files).toEqual([...wanted, "package.json"].sort());
  expect(existsSync(join(app, "node_modules/typescript"))).toBe(false);
});

test("it brings the studio's bundle, which packing makes", () => {
  const studio = join(app, "node_modules/vitok/dist/studio");
  expect(readFileSync(join(studio, "index.html"), "utf8")).toContain("<script");
});

test("its command runs", () => {
  const { status, stdout, stderr } = run("npx", ["--no", "vitok", "info", "S-B/16", "--json"]);
  expect(status, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ variant: "S-B/16", tokens: 256, latentSize: 4096 });
});

test("the README's program runs", async () => {
  await prepareProgram(app, readmeProgram);
  const { status, stderr } = run(process.execPath, ["program.mjs"]);
  expect(status, stderr).toBe(0);
  const recon = await readImage(join(app, "recon.png"));
  expect(recon).toMatchObject({ frames: 1, height: pictureSize, width: pictureSize });
});
