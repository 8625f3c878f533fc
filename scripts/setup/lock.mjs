// A lock between processes: two set-ups at once must not fill the same folder. The second one waits for the first.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Runs `action` while holding the lock file `path`.
 * @template T
 * @param {string} path
 * @param {{ log: (line: string) => void }} options
 * @param {() => T | Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withLock(path, { log }, action) {
  mkdirSync(dirname(path), { recursive: true });
  for (let waits = 0; !tryLock(path); waits++) {
    if (isAbandoned(path)) {
      rmSync(path, { force: true });
      continue;
    }
    if (waits === 0) log(`waiting for another set-up to finish (if there is none, remove ${path})`);
    await sleep(500);
  }
  try {
    return await action();
  } finally {
    rmSync(path, { force: true });
  }
}

/** @param {string} path */
function tryLock(path) {
  try {
    writeFileSync(path, `${hostname()} ${process.pid}`, { flag: "wx" });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "EEXIST") return false;
    throw error;
  }
}

/** True when the process that took the lock ran on this machine and has ended. @param {string} path */
function isAbandoned(path) {
  try {
    const [host, pid] = readFileSync(path, "utf8").split(" ");
    if (host !== hostname() || !pid) return false;
    process.kill(Number(pid), 0); // signal 0 only asks whether the process is there
    return false;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "ESRCH";
  }
}
