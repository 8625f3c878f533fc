// How the tests run: beside the sources and under test/, each file in a process of its own, two at a time.

import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const workers = 2;

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    setupFiles: ["test/seed.ts"],
    pool: "forks",
    maxWorkers: workers,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Libtorch would start a thread per core in every worker; more threads than cores is slower than too few.
    env: { OMP_NUM_THREADS: String(Math.max(1, Math.floor(availableParallelism() / workers))) },
    coverage: { include: ["src/**/*.ts"] },
  },
});
