#!/usr/bin/env node
// The `vitok` command as it is installed. Node decodes pictures on a pool of four threads, and fixes their number before
// the first line of an ES module runs: so a script asks for one a core, then starts main.ts.
process.env.UV_THREADPOOL_SIZE ??= String(Math.max(4, require("node:os").availableParallelism()));
import("./main.js");
