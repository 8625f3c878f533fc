// Runs the tests and ends with one line to count by: "N passed, N failed", and ", N skipped" where some were.
// Arguments go to vitest: `npm test -- src/nn`. The exit code is not 0 when a test failed or none ran.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-test-"));
const resultsFile = join(scratch, "results.json");

const vitest = spawnSync(
  process.execPath,
  [
    join(root, "node_modules/vitest/vitest.mjs"),
    ...["run", "--reporter=default", "--reporter=json", `--outputFile.json=${resultsFile}`],
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: "inherit" },
);
const { passed, failed, skipped } = countResults(vitest.status === 0);
rmSync(scratch, { recursive: true, force: true });

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

/**
 * @param {boolean} succeeded whether vitest itself was content
 * @returns {{ passed: number, failed: number, skipped: number }}
 */
function countResults(succeeded) {
  let results = [];
  try {
    results = JSON.parse(readFileSync(resultsFile, "utf8")).testResults;
  } catch {
    // vitest ended before it wrote any: counted as a failure below
  }
  /** @type {string[]} */
  const states = results.flatMap(statesOfFile);
  const passed = states.filter((state) => state === "passed").length;
  const failed = states.filter((state) => state === "failed").length;
  // An error outside every test (a worker that died, a promise nobody awaited) fails the run too.
  const failedOutside = !succeeded && failed === 0 ? 1 : 0;
  return { passed, failed: failed + failedOutside, skipped: states.length - passed - failed };
}

/**
 * The tests' states; a file that fails outside its tests (on import, in a hook) is one more failure.
 * @param {{ status: string, assertionResults: { status: string }[] }} file
 */
function statesOfFile({ status, assertionResults }) {
  const states = assertionResults.map((test) => test.status);
  if (status === "failed" && !states.includes("failed")) states.push("failed");
  return states;
}
