// Finds libtorch, and reads what it is: LIBTORCH, else that Python's torch, else the managed cache. The download is fetch.mjs.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cacheFolder } from "./paths.mjs";
import { commandPath, run, SetupError, tail } from "./shell.mjs";

/** The version that the managed cache holds. */
export const managedVersion = "2.13.0";
/** Built and tested; others warn. */
const testedVersions = ["2.11", "2.13", "2.14"];
/** Below this the operators' schemas differ too much. */
const oldestMinor = 8;

/**
 * A libtorch on disk: `version` as in "2.13.0", `build` as its packager calls it ("2.13.0+cu130"), `source` how it was found.
 * @typedef {{ root: string, version: string, build: string, source: string }} Libtorch
 */

/**
 * Where libtorch should be, whether or not it is there yet.
 * @returns {{ root: string, source: string, managed: boolean }}
 */
export function libtorchPlace() {
  if (process.env.LIBTORCH)
    return { root: resolve(process.env.LIBTORCH), source: "LIBTORCH", managed: false };
  if (process.env.LIBTORCH_USE_PYTORCH === "1") {
    return { root: pythonTorch(), source: "LIBTORCH_USE_PYTORCH", managed: false };
  }
  // The CUDA libraries of the wheel are several times its size: a machine without a GPU has a folder without them.
  const name = `libtorch-${managedVersion}${hasGpu() ? "-cuda" : ""}`;
  return { root: join(cacheFolder(), name, "torch"), source: "cache", managed: true };
}

/** The folder of the torch package that `python3` imports. */
function pythonTorch() {
  const script = "import torch, os; print(os.path.dirname(torch.__file__))";
  const { ok, output } = run("python3", ["-c", script]);
  if (ok) return output.trim().split("\n")[0] ?? "";
  throw new SetupError(
    `${tail(output, 3)}\nExpected python3 with torch for LIBTORCH_USE_PYTORCH=1, found none.`,
    [
      `python3 -m pip install torch==${managedVersion}`,
      "or unset LIBTORCH_USE_PYTORCH: npm run setup then fetches its own libtorch",
    ],
  );
}

/**
 * Reads and checks the libtorch at a place.
 * @param {{ root: string, source: string }} place
 * @param {{ warn: (line: string) => void }} options
 * @returns {Libtorch}
 */
export function readLibtorch({ root, source }, { warn }) {
  const library = `libtorch_cpu${process.platform === "darwin" ? ".dylib" : ".so"}`;
  for (const part of [join("lib", library), join("include", "ATen", "ATen.h")]) {
    if (existsSync(join(root, part))) continue;
    throw new SetupError(`Expected libtorch in ${root} (${source}), but ${part} is not there.`, [
      `set ${source} to a folder that holds lib/ and include/, as a Python's torch package does`,
      "or unset it: npm run setup then fetches its own libtorch",
    ]);
  }
  const version = headerVersion(root);
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major !== 2 || minor < oldestMinor) {
    throw new SetupError(`Expected libtorch ${managedVersion}, found ${version} in ${root}.`, [
      `unset ${source}: npm run setup then fetches ${managedVersion}`,
    ]);
  }
  if (!testedVersions.includes(`${major}.${minor}`)) {
    warn(
      `libtorch ${version} is not one of those tested (${testedVersions.join(", ")}): it may not build`,
    );
  }
  return { root, version, build: buildTag(root) ?? version, source };
}

/** `2.13.0`, from the headers; they moved over the versions. @param {string} root */
function headerVersion(root) {
  const places = ["headeronly/version.h", "csrc/api/include/torch/version.h", "version.h"];
  for (const place of places) {
    const path = join(root, "include", "torch", place);
    if (!existsSync(path)) continue;
    const text = readFileSync(path, "utf8");
    const parts = ["MAJOR", "MINOR", "PATCH"].map(
      (part) => new RegExp(`VERSION_${part}\\s+(\\d+)`).exec(text)?.[1],
    );
    if (parts.every(Boolean)) return parts.join(".");
  }
  throw new SetupError(
    `Expected a version in ${join(root, "include/torch")}, found no version.h.`,
    ["unset LIBTORCH: npm run setup then fetches its own libtorch"],
  );
}

/** `2.13.0+cu130`: the build as its packager calls it, or null. @param {string} root */
function buildTag(root) {
  const python = join(root, "version.py");
  if (existsSync(python))
    return /__version__ = '([^']+)'/.exec(readFileSync(python, "utf8"))?.[1] ?? null;
  const archive = join(root, "build-version");
  return existsSync(archive) ? readFileSync(archive, "utf8").trim() : null;
}

/** True when an NVIDIA GPU can be used here. */
export function hasGpu() {
  if (existsSync("/dev") && readdirSync("/dev").some((name) => /^nvidia\d+$/.test(name)))
    return true;
  return commandPath("nvidia-smi") !== null && run("nvidia-smi", ["-L"]).output.includes("GPU 0");
}
