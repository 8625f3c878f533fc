// The steps that only a clone of the repository needs: the npm packages and the compiled TypeScript.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run, SetupError, tail } from "./shell.mjs";

/**
 * `npm ci` where node_modules is not what package-lock.json says.
 * @param {string} root
 * @param {{ log: (line: string) => void }} options
 * @returns {string} what was done
 */
export function installPackages(root, { log }) {
  if (packagesMatch(root)) return "up to date";
  log("packages: running npm ci");
  const { ok, output } = run("npm", ["ci"], { cwd: root });
  if (ok) return "installed";
  throw new SetupError(
    `${tail(output, 15)}\nExpected npm ci to install the packages, but it failed.`,
    ["check the network and the registry: npm ping", "if package.json was edited: npm install"],
  );
}

/** @typedef {{ version?: string, link?: boolean, optional?: boolean, devOptional?: boolean, peer?: boolean }} Locked */

/**
 * Compares package-lock.json with npm's own record of what it installed; by content, for the times of files
 * say little after a checkout or a copy.
 * @param {string} root
 */
export function packagesMatch(root) {
  const record = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return false;
  const wanted = lockedPackages(join(root, "package-lock.json"));
  const installed = lockedPackages(record);
  return Object.entries(wanted).every(([path, { version, link, ...flags }]) => {
    if (!path.includes("node_modules/") || link) return true;
    if (installed[path]) return installed[path].version === version;
    return Boolean(flags.optional || flags.devOptional || flags.peer);
  });
}

/** @param {string} path @returns {Record<string, Locked>} */
function lockedPackages(path) {
  return JSON.parse(readFileSync(path, "utf8")).packages ?? {};
}

/**
 * `tsc -b` where a source has changed since the last one that passed.
 * @param {string} root
 * @param {{ log: (line: string) => void }} options
 * @returns {string} what was done
 */
export function compileTypeScript(root, { log }) {
  const stampFile = join(root, "build", "typescript.stamp");
  const stamp = sourceStamp(root);
  const isFresh =
    existsSync(join(root, "dist")) &&
    existsSync(stampFile) &&
    readFileSync(stampFile, "utf8") === stamp;
  if (isFresh) return "up to date";
  log("TypeScript: running tsc -b");
  const force = existsSync(join(root, "dist")) ? [] : ["--force"]; // tsc believes its record, even without the files
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { ok, output } = run(process.execPath, [tsc, "-b", ...force], { cwd: root });
  if (!ok) {
    throw new SetupError(
      `${tail(output)}\nExpected src/ to compile, but tsc found the errors above.`,
    );
  }
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, stamp);
  return "compiled";
}

/** Hash of the names, sizes and times of the sources: an edit changes it, and it takes milliseconds. @param {string} root */
function sourceStamp(root) {
  const sources = readdirSync(join(root, "src"), { recursive: true }).map((file) =>
    join("src", String(file)),
  );
  const hash = createHash("sha256");
  for (const file of ["tsconfig.json", "package-lock.json", ...sources.sort()]) {
    const { size, mtimeMs } = statSync(join(root, file));
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex");
}
