// The set-up in order: packages, libtorch, addon, TypeScript. Each step does nothing where nothing is missing.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildAddon } from "./addon.mjs";
import { compileTypeScript, installPackages } from "./clone.mjs";
import { fetchLibtorch } from "./fetch.mjs";
import { libtorchPlace, readLibtorch } from "./libtorch.mjs";
import { withLock } from "./lock.mjs";
import { buildFolder, isClone } from "./paths.mjs";

/**
 * Does what is missing, one line of `log` for each step. Two set-ups at once wait for each other.
 * @param {{ root: string, log: (line: string) => void }} options root: the package's folder
 * @returns {Promise<void>} rejects with SetupError, whose message says what is missing and how to get it
 */
export async function setup({ root, log }) {
  const folder = buildFolder(root);
  mkdirSync(folder, { recursive: true });
  await withLock(join(folder, "setup.lock"), { log }, async () => {
    const clone = isClone(root);
    if (clone) await step("packages", log, () => installPackages(root, { log }));
    const libtorch = await findLibtorch(log);
    await step("addon", log, () => buildAddon(root, { folder, libtorch, log }));
    if (clone) await step("TypeScript", log, () => compileTypeScript(root, { log }));
  });
}

/** @param {(line: string) => void} log */
async function findLibtorch(log) {
  const place = libtorchPlace();
  /** @param {string} line */
  const warn = (line) => log(`warning: ${line}`);
  let libtorch;
  await step("libtorch", log, async () => {
    if (place.managed) await fetchLibtorch(place.root, { log });
    libtorch = readLibtorch(place, { warn });
    return `${libtorch.build} in ${libtorch.root}`;
  });
  return /** @type {import("./libtorch.mjs").Libtorch} */ (/** @type {unknown} */ (libtorch));
}

/**
 * @param {string} name
 * @param {(line: string) => void} log
 * @param {() => string | Promise<string>} action says what it did
 */
async function step(name, log, action) {
  const start = performance.now();
  const result = await action();
  log(`${name}: ${result} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}
