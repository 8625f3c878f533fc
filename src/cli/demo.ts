// `vitok demo` (`npm run demo`): the whole tour, from pictures to a trained tokenizer and its report, in minutes on a CPU.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../config-error.js";
import { loadTrainConfig } from "../train/config.js";
import { openOutput } from "./output.js";
import { runRecipe } from "./train.js";

interface DemoOptions {
  readonly data?: string;
  readonly out: string;
}

export async function run(_: readonly string[], { data, out }: DemoOptions): Promise<number> {
  const recipe = fileURLToPath(new URL("../../configs/demo.yaml", import.meta.url));
  const sets = data
    ? [
        `data.path=${JSON.stringify(data)}`,
        `evaluate.data=${JSON.stringify(data)}`,
        "evaluate.count=64",
      ]
    : [];
  const config = loadTrainConfig(recipe, sets);
  forget(out);
  const output = openOutput({});
  output.log(
    `Training ${data ? `on ${data}` : "on drawn pictures"}: a Ti-Ti/8 tokenizer at ${config.data.size} px, ${config.train.steps} steps. It ends in ${join(out, "report", "index.html")}.`,
  );
  const command = `npm run demo${data ? ` -- --data ${data}` : ""}`;
  return runRecipe(config, { out, command, resume: false, output });
}

/** A demo starts afresh each time; a folder that is no run is left alone. */
function forget(out: string): void {
  if (!existsSync(out)) return;
  if (!existsSync(join(out, "run.jsonl")))
    throw new ConfigError(
      `Expected a new folder or an earlier demo for --out, received ${out}. Choose another.`,
    );
  rmSync(out, { recursive: true });
}
