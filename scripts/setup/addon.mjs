// Compiles native/ against a libtorch with cmake, once per state of the sources. Not the search for libtorch.
// Result: build/<platform>-<version>/vitok_torch.node and build/engine.json, which src/torch/binding.ts reads.

import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, freemem } from "node:os";
import { dirname, join } from "node:path";
import { cudaRequirements } from "./fetch.mjs";
import { cacheFolder } from "./paths.mjs";
import { commandPath, run, SetupError, tail } from "./shell.mjs";

/**
 * What the last successful build left: the addon (relative to engine.json), the libtorch it links and the hash of its inputs.
 * @typedef {{ addon: string, libtorch: string, version: string, stamp: string }} Engine
 */

/** @param {string} folder the build folder @returns {Engine | null} */
export function readEngine(folder) {
  try {
    const engine = JSON.parse(readFileSync(join(folder, "engine.json"), "utf8"));
    return existsSync(join(folder, engine.addon)) ? engine : null;
  } catch {
    return null;
  }
}

/**
 * Builds the addon unless the last build had the same sources, libtorch and platform.
 * @param {string} root the package
 * @param {{ folder: string, libtorch: import("./libtorch.mjs").Libtorch, log: (line: string) => void }} options
 * @returns {string} what was done
 */
export function buildAddon(root, { folder, libtorch, log }) {
  const stamp = inputStamp(root, libtorch);
  if (readEngine(folder)?.stamp === stamp) return "up to date";
  const name = `${process.platform}-${process.arch}-${libtorch.version}`;
  log(`addon: compiling native/ against libtorch ${libtorch.version} (about a minute)`);
  const built = compile(root, { work: join(folder, name, "cmake"), libtorch });
  checkLoads(built, libtorch);
  const addon = join(name, "vitok_torch.node");
  replaceFile(built, join(folder, addon));
  // The addon's CUDA half lies beside it where cmake found CUDA's headers.
  const cudaHalf = join(dirname(built), "vitok_cuda.so");
  if (existsSync(cudaHalf)) replaceFile(cudaHalf, join(folder, name, "vitok_cuda.so"));
  const engine = { addon, libtorch: libtorch.root, version: libtorch.version, stamp };
  writeFileSync(join(folder, "engine.json.new"), `${JSON.stringify(engine, null, 2)}\n`);
  renameSync(join(folder, "engine.json.new"), join(folder, "engine.json"));
  return "compiled";
}

/**
 * Renames, never overwrites: another process may have the old file mapped.
 * @param {string} from @param {string} to
 */
function replaceFile(from, to) {
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}

/** Hash of everything that the addon is made from. @param {string} root @param {import("./libtorch.mjs").Libtorch} libtorch */
export function inputStamp(root, libtorch) {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([process.platform, process.arch, libtorch]));
  const native = join(root, "native");
  const sources = readdirSync(native, { recursive: true }).map(String);
  for (const file of sources.filter((file) => /\.(cc|h|txt)$/.test(file)).sort()) {
    hash.update(`${file}\0`).update(readFileSync(join(native, file)));
  }
  return hash.digest("hex");
}

/**
 * @param {string} root
 * @param {{ work: string, libtorch: import("./libtorch.mjs").Libtorch }} options
 * @returns {string} path of the new addon
 */
function compile(root, { work, libtorch }) {
  requireCompiler();
  const { cmake, ninja } = findCmake();
  const headers = createRequire(join(root, "package.json")).resolve("node-api-headers");
  mkdirSync(work, { recursive: true });
  const configure = run(cmake, [
    ...["-S", join(root, "native"), "-B", work, "-DCMAKE_BUILD_TYPE=Release"],
    ...(ninja ? ["-G", "Ninja", `-DCMAKE_MAKE_PROGRAM=${ninja}`] : []),
    `-DLIBTORCH=${libtorch.root}`,
    `-DNODE_HEADERS=${join(dirname(headers), "include")}`,
  ]);
  if (!configure.ok) throw buildError("cmake could not configure native/", configure.output, work);
  const build = run(cmake, ["--build", work, "--parallel", String(compileJobs())]);
  if (!build.ok) throw buildError("native/ does not compile", build.output, work);
  return join(work, "vitok_torch.node");
}

/** A file that includes libtorch's headers takes about 1.5 GiB to compile. */
function compileJobs() {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / (1.5 * 2 ** 30))));
}

/** @param {string} what @param {string} output @param {string} work */
function buildError(what, output, work) {
  return new SetupError(`${tail(output)}\nExpected a build without errors, but ${what}.`, [
    `start over: rm -r ${work} && npm run setup`,
  ]);
}

/**
 * Loads the addon in a process of its own, so that a library that is missing is found now.
 * @param {string} addon
 * @param {import("./libtorch.mjs").Libtorch} libtorch
 */
function checkLoads(addon, libtorch) {
  const { ok, output } = run(process.execPath, ["-e", "require(process.argv[1])", addon]);
  if (ok) return;
  const remedies = [
    "or unset LIBTORCH and LIBTORCH_USE_PYTORCH: npm run setup then fetches its own",
  ];
  const missing = /(lib[\w.+-]+): cannot open shared object/.exec(output)?.[1];
  if (missing) {
    const folder = dirname(libtorch.root);
    const wanted = cudaRequirements(folder).map((requirement) => `"${requirement}"`);
    const packages = wanted.length > 0 ? wanted.join(" ") : `<the package that holds ${missing}>`;
    remedies.unshift(`python3 -m pip install --target ${folder} ${packages}`);
  }
  const reason = missing ? `${libtorch.root} lacks ${missing}` : tail(output, 15);
  throw new SetupError(`Expected the addon to load, but ${reason}.`, remedies);
}

function requireCompiler() {
  if (
    process.env.CXX
      ? commandPath(process.env.CXX) || existsSync(process.env.CXX)
      : commandPath("c++", "g++", "clang++")
  )
    return;
  throw new SetupError(
    "Expected a C++20 compiler (g++ 11 or clang 14, or later), found none on the PATH. Install one:",
    [
      "Debian, Ubuntu: sudo apt-get install g++ cmake ninja-build",
      "Fedora: sudo dnf install gcc-c++ cmake ninja-build",
      "macOS: xcode-select --install",
    ],
  );
}

/** cmake and a build tool from the PATH, else from the cache, filled with pip. @returns {{ cmake: string, ninja: string | null }} */
function findCmake() {
  const cmake = commandPath("cmake");
  const ninja = commandPath("ninja");
  if (cmake && (ninja || commandPath("make"))) return { cmake, ninja };
  const folder = join(cacheFolder(), "cmake");
  const own = {
    cmake: join(folder, "cmake", "data", "bin", "cmake"),
    ninja: join(folder, "bin", "ninja"),
  };
  if (!existsSync(own.cmake) || !existsSync(own.ninja)) fetchCmake(folder);
  return own;
}

/** @param {string} folder */
function fetchCmake(folder) {
  const { ok, output } = run("python3", [
    "-m",
    "pip",
    "install",
    "--upgrade",
    "--target",
    folder,
    "cmake",
    "ninja",
  ]);
  if (ok) return;
  throw new SetupError(
    `${tail(output, 10)}\nExpected cmake on the PATH or from pip, found neither. Install it:`,
    [
      "Debian, Ubuntu: sudo apt-get install cmake ninja-build",
      "Fedora: sudo dnf install cmake ninja-build",
      "macOS: brew install cmake ninja",
    ],
  );
}
