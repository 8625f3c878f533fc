// Brings a fresh clone, or an installed package, to where it runs: `node scripts/bootstrap.mjs` does what is missing and
// says what it does. No dependencies. Old Nodes must be able to read this file, to be told what they are: so it is plain
// in syntax, and the steps (scripts/setup/) are imported only after the check.

import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Does what is missing; see scripts/setup/steps.mjs.
 * @param {{ root: string, log: (line: string) => void }} options
 * @returns {Promise<void>}
 */
export async function setup(options) {
  requireNode();
  const steps = await import("./setup/steps.mjs");
  await steps.setup(options);
}

/**
 * Facts for `vitok doctor`; see scripts/setup/inspect.mjs.
 * @param {string} root
 */
export async function inspect(root) {
  const { inspect } = await import("./setup/inspect.mjs");
  return inspect(root);
}

function requireNode() {
  const version = process.versions.node;
  const [major, minor] = version.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  const error = new Error(
    "Expected Node 20.19 or later, found " +
      version +
      ". Install one:\n  - nvm install 20, or https://nodejs.org",
  );
  error.name = "SetupError";
  throw error;
}

async function main() {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  try {
    // On stderr: stdout belongs to the command that comes after.
    await setup({ root, log: (line) => console.error(`[setup] ${line}`) });
  } catch (error) {
    console.error(error.name === "SetupError" ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main();
