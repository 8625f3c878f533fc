// `vitok setup`: the bootstrap for an installed package. A clone's `npm run setup` is the same script.

import { fileURLToPath } from "node:url";
import { openOutput } from "./output.js";

interface Bootstrap {
  setup(options: { root: string; log(line: string): void }): Promise<void>;
}

/** The package's folder: this file is two folders below it, in src/ as in dist/. */
const root = new URL("../../", import.meta.url);

export async function run(): Promise<void> {
  const output = openOutput({});
  const url = new URL("scripts/bootstrap.mjs", root).href;
  const { setup } = (await import(url)) as Bootstrap;
  await setup({ root: fileURLToPath(root), log: (line) => output.log(`[setup] ${line}`) });
  output.print("The engine is ready. What this machine has: npx vitok doctor");
}
