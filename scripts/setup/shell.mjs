// What every step of the set-up needs: running a command, finding one on the PATH, and the error a step ends with.
// No dependencies: it runs before `npm ci`.

import { spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A step could not be done; the message says what was expected, what was found and the command that mends it. */
export class SetupError extends Error {
  /** @param {string} message @param {string[]} [remedies] commands or sentences, one a line */
  constructor(message, remedies = []) {
    super([message, ...remedies.map((line) => `  - ${line}`)].join("\n"));
    this.name = "SetupError";
  }
}

/** Absolute path of the first of `names` that the PATH holds, or null. @param {string[]} names */
export function commandPath(...names) {
  for (const name of names) {
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
      const path = join(folder, name);
      if (isExecutable(path)) return path;
    }
  }
  return null;
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a command to its end. Its output is captured, or with `show` goes to stderr (stdout belongs to the caller's results).
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, show?: boolean }} [options]
 * @returns {{ ok: boolean, output: string }} output: stdout, then stderr; empty with `show`
 */
export function run(command, args, { cwd, env, show = false } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 256 * 2 ** 20,
    stdio: show ? ["ignore", 2, 2] : ["ignore", "pipe", "pipe"],
  });
  const output = [result.stdout, result.stderr, result.error?.message].filter(Boolean).join("\n");
  return { ok: result.status === 0, output };
}

/** The last lines of a command's output, for an error text. @param {string} output */
export function tail(output, lines = 40) {
  return output.trimEnd().split("\n").slice(-lines).join("\n");
}
