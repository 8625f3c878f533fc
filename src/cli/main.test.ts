// The command line as a user meets it: exit codes, help, JSON, and what a light command must not load.
// Cost figures are tokenizer/cost.test.ts; here only the contract's keys are checked.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import { RunLog } from "../train/log.js";
import { commands } from "./commands.js";

const mainPath = fileURLToPath(new URL("main.ts", import.meta.url));
const golden = fileURLToPath(new URL("../../../shared/reference/golden/latent", import.meta.url));

function vitok(...line: string[]) {
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "" };
  const child = spawnSync(process.execPath, ["--import", "tsx", mainPath, ...line], {
    encoding: "utf8",
    env,
  });
  return { status: child.status, stdout: child.stdout, stderr: child.stderr };
}

describe("vitok", () => {
  it("helps on stdout and exits with 0", () => {
    const { status, stdout } = vitok("--help");
    expect(status).toBe(0);
    for (const { name } of commands) expect(stdout).toContain(`  ${name} `);
  });

  it.each([
    ["an unknown command", ["reconstrcut"], "Did you mean reconstruct?"],
    ["a missing argument", ["train"], "missing required argument"],
    ["an unknown option", ["info", "S-B/16", "--wat"], "unknown option"],
    ["a value that is no number", ["info", "S-B/16", "--size", "-1"], "whole number above 0"],
    ["no command", [], "Usage: vitok"],
  ])("exits with 2 for %s, on stderr", (_, line, message) => {
    const { status, stdout, stderr } = vitok(...line);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  it("exits with 1 and a message without a stack when a command fails", () => {
    const { status, stdout, stderr } = vitok("info", "Q-Q/16");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^Expected <encoder>-<decoder>.*\n$/);
  });
});

describe("vitok info", () => {
  it("reports the contract's keys as one JSON object", () => {
    const report = JSON.parse(vitok("info", "S-B/4x8", "--size", "128", "--json").stdout);
    expect(report).toMatchObject({
      variant: "S-B/4x8",
      params: { encoder: 43150112, decoder: 85671171, total: 128821283 },
      macs: { encoder: expect.any(Number), decoder: expect.any(Number), total: 160808042496 },
      tokens: 1024,
      latentSize: 16384,
      compressionRatio: 48,
    });
  });

  it.skipIf(!existsSync(golden))("reads a model folder (skipped without ../shared)", () => {
    const { status, stdout } = vitok("info", golden);
    expect(status).toBe(0);
    expect(stdout).toContain("Tiw48d2-Tiw48d2/1x8x4  (6 latent tokens)");
  });
});

describe("vitok runs", () => {
  it("lists runs with their state and scores, and none as none", () => {
    const folder = mkdtempSync(join(tmpdir(), "vitok-runs-"));
    expect(vitok("runs", folder).stdout).toContain("No runs in");
    const log = new RunLog(join(folder, "study", "a"));
    const about = { config: {}, version: "0", seed: 0, device: "cpu", engine: "", cores: 2 };
    log.write({ type: "run", variant: "Ti-Ti/8", command: "", startedAt: "", ...about });
    log.write({ type: "eval", step: 4, metrics: { PSNR: 21.5 }, elapsedMs: 9 });
    log.close();
    expect(vitok("runs", folder).stdout).toMatch(
      /PSNR.*\n.*study\/a\s+Ti-Ti\/8\s+1\s+unfinished.*21\.500/,
    );
    const { runs } = JSON.parse(vitok("runs", folder, "--json").stdout);
    expect(runs).toMatchObject([
      { variant: "Ti-Ti/8", state: "unfinished", metrics: { PSNR: 21.5 } },
    ]);
  });
});

/** How the bundler writes main's late import of the one command asked for. */
const lateCommand = "./**/*.js";

describe("a light command", () => {
  it.each(["main", "info", "runs"])("%s loads no engine, schema or image library", async (name) => {
    const { metafile } = await build({
      entryPoints: [join(mainPath, "..", `${name}.ts`)],
      bundle: true,
      write: false,
      metafile: true,
      platform: "node",
      format: "esm",
      packages: "external",
      logLevel: "silent",
    });
    const inputs = Object.keys(metafile.inputs);
    const packages = Object.values(metafile.inputs).flatMap((input) =>
      input.imports
        .filter((entry) => entry.external && entry.path !== lateCommand)
        .map((entry) => entry.path),
    );
    expect(inputs.filter((path) => /src\/(torch|nn|media|data)\//.test(path))).toEqual([]);
    expect(packages.filter((path) => !/^(node:|commander$)/.test(path))).toEqual([]);
  });
});
