// Fills the managed cache with the public torch wheel, for its libraries and headers; no Python runs in the product.
// The folder appears whole or not at all: it is filled beside its place and renamed.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { hasGpu, managedVersion } from "./libtorch.mjs";
import { withLock } from "./lock.mjs";
import { commandPath, run, SetupError } from "./shell.mjs";

/** Any Python will do: the wheel named here is taken apart, never imported. */
const wheelTags = [
  "--only-binary=:all:",
  "--implementation",
  "cp",
  "--python-version",
  "3.11",
  "--abi",
  "cp311",
];
/** @type {Record<string, string>} */
const platformTags = {
  "linux-x64": "manylinux_2_28_x86_64",
  "linux-arm64": "manylinux_2_28_aarch64",
  "darwin-arm64": "macosx_14_0_arm64",
};

/**
 * Fetches libtorch into `dirname(root)` unless it is there.
 * @param {string} root the torch folder inside the managed one
 * @param {{ log: (line: string) => void }} options
 * @returns {Promise<void>}
 */
export async function fetchLibtorch(root, { log }) {
  const folder = dirname(root);
  if (existsSync(root)) return;
  await withLock(`${folder}.lock`, { log }, () => {
    if (existsSync(root)) return; // another set-up has just done it
    requirePip();
    const partial = `${folder}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    requireSpace(partial, hasGpu() ? 7 : 3);
    log(`libtorch: fetching the torch ${managedVersion} wheel with pip (about 530 MB on Linux)`);
    pipInstall(partial, [
      "--no-deps",
      ...wheelTags,
      "--platform",
      platformTag(),
      `torch==${managedVersion}`,
    ]);
    const libraries = cudaRequirements(partial);
    if (libraries.length > 0) {
      log(
        `libtorch: fetching the CUDA libraries that it links (${hasGpu() ? "all, about 2 GB" : "two small ones"})`,
      );
      pipInstall(partial, libraries);
    }
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  });
}

function platformTag() {
  const platform = `${process.platform}-${process.arch}`;
  const tag = platformTags[platform];
  if (tag) return tag;
  throw new SetupError(
    `Expected one of ${Object.keys(platformTags).join(", ")}, found ${platform}: no torch wheel exists for it.`,
    ["set LIBTORCH to a libtorch built for this machine"],
  );
}

/**
 * The CUDA packages that the unpacked wheel asks for: all with a GPU; without, the two that libtorch_cpu itself links.
 * @param {string} folder
 * @returns {string[]} pip requirements; empty for a wheel without CUDA, or what is no wheel
 */
export function cudaRequirements(folder, gpu = hasGpu()) {
  const info = readdirSync(folder).find((name) => /^torch-.*\.dist-info$/.test(name));
  if (!info) return [];
  const metadata = readFileSync(join(folder, info, "METADATA"), "utf8");
  const lines = [...metadata.matchAll(/^Requires-Dist: ((?:cuda-toolkit|nvidia-)[^;\n]*)(;.*)?$/gm)]
    .filter(([, , marker]) => !marker?.includes("Linux") || process.platform === "linux")
    .map(([, requirement = ""]) => requirement.trim());
  if (gpu) return lines;
  return lines
    .filter((line) => line.startsWith("cuda-toolkit"))
    .map((line) => line.replace(/\[.*\]/, "[cudart,cupti]"));
}

/** @param {string} folder @param {string[]} args */
function pipInstall(folder, args) {
  const env = { PIP_ROOT_USER_ACTION: "ignore", PIP_DISABLE_PIP_VERSION_CHECK: "1" };
  const install = ["-m", "pip", "install", "--target", folder, ...args];
  const { ok } = run("python3", install, { env, show: true });
  if (ok) return;
  rmSync(folder, { recursive: true, force: true });
  throw new SetupError(
    `Expected pip to install ${args.at(-1)}, but it failed; its own message is above.`,
    [
      "is there a network? Without one, copy a libtorch or a Python's torch folder here and set LIBTORCH to it",
      "with a wheel on disk: PIP_FIND_LINKS=<its folder> npm run setup",
      "with torch in this Python already: LIBTORCH_USE_PYTORCH=1 npm run setup",
    ],
  );
}

function requirePip() {
  const python = commandPath("python3");
  if (python && run(python, ["-m", "pip", "--version"]).ok) return;
  throw new SetupError(
    `Expected python3 with pip, to fetch libtorch, found ${python ? `${python} without pip` : "no python3"}.`,
    [
      "Debian, Ubuntu: sudo apt-get install python3-pip",
      "Fedora: sudo dnf install python3-pip",
      "macOS: xcode-select --install",
      "or set LIBTORCH to a folder that holds libtorch's lib/ and include/",
    ],
  );
}

/** @param {string} folder @param {number} wantedGiB */
function requireSpace(folder, wantedGiB) {
  const { bavail, bsize } = statfsSync(folder);
  const freeGiB = (bavail * bsize) / 2 ** 30;
  if (freeGiB >= wantedGiB) return;
  throw new SetupError(
    `Expected ${wantedGiB} GiB free for libtorch in ${folder}, found ${freeGiB.toFixed(1)}.`,
    ["set VITOK_CACHE to a folder on a larger disk"],
  );
}
