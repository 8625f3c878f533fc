// Where the set-up keeps things: the cache shared by all checkouts, and the build folder of this package.
// src/torch/binding.ts looks in the same places.

import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The folder for what is large and shared: `VITOK_CACHE`, else the user's cache folder. */
export function cacheFolder() {
  if (process.env.VITOK_CACHE) return process.env.VITOK_CACHE;
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vitok");
}

/** A clone holds sources to install and compile; an installed package holds only the results. @param {string} root */
export function isClone(root) {
  return existsSync(join(root, "package-lock.json")) && existsSync(join(root, "src"));
}

/** `build/` of the package, or a folder of the cache where the package cannot be written. @param {string} root */
export function buildFolder(root) {
  try {
    accessSync(root, constants.W_OK);
    return join(root, "build");
  } catch {
    return join(cacheFolder(), `build-${packageVersion(root)}`);
  }
}

/** @param {string} root @returns {string} */
export function packageVersion(root) {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}
