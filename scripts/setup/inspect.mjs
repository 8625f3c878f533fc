// What is here and what is not, for `vitok doctor`. It changes nothing and never throws.

import { existsSync } from "node:fs";
import { readEngine } from "./addon.mjs";
import { hasGpu, libtorchPlace, managedVersion, readLibtorch } from "./libtorch.mjs";
import { buildFolder, cacheFolder } from "./paths.mjs";
import { commandPath, run } from "./shell.mjs";

/**
 * Paths are null where a thing was not found.
 * @typedef {{
 *   platform: string, node: string, cache: string,
 *   libtorch: { wanted: string, root: string | null, version: string | null, source: string, problem: string | null },
 *   addon: { path: string, libtorch: string, version: string } | null,
 *   compiler: string | null, cmake: string | null, python: string | null, ffmpeg: string | null, gpu: string | null,
 * }} Facts
 */

/** @param {string} root the package's folder @returns {Facts} */
export function inspect(root) {
  const folder = buildFolder(root);
  const engine = readEngine(folder);
  return {
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    cache: cacheFolder(),
    libtorch: inspectLibtorch(),
    addon: engine && {
      path: `${folder}/${engine.addon}`,
      libtorch: engine.libtorch,
      version: engine.version,
    },
    compiler: commandPath(process.env.CXX ?? "c++", "g++", "clang++"),
    cmake: commandPath("cmake"),
    python: commandPath("python3"),
    ffmpeg: process.env.FFMPEG_PATH || commandPath("ffmpeg"),
    gpu: gpuName(),
  };
}

/** @returns {Facts["libtorch"]} */
function inspectLibtorch() {
  const wanted = managedVersion;
  try {
    const place = libtorchPlace();
    if (place.managed && !existsSync(place.root)) {
      return {
        wanted,
        root: null,
        version: null,
        source: place.source,
        problem: "not fetched yet: npx vitok setup",
      };
    }
    const { root, build, source } = readLibtorch(place, { warn: () => {} });
    return { wanted, root, version: build, source, problem: null };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { wanted, root: null, version: null, source: "environment", problem };
  }
}

function gpuName() {
  if (!hasGpu()) return null;
  const { ok, output } = run("nvidia-smi", ["--query-gpu=name", "--format=csv,noheader"]);
  return ok ? output.trim().split("\n").join(", ") : "an NVIDIA GPU";
}
