// `vitok demo` (`npm run demo`): the whole tour. First what a trained model makes of a picture, where the package has one; then
// from pictures to a trained tokenizer and its report, in minutes on a CPU.

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../config-error.js";
import { openSource } from "../data/source.js";
import { writeImage } from "../media/image.js";
import { loadTrainConfig } from "../train/config.js";
import { starterModel } from "./model.js";
import { openOutput } from "./output.js";
import { run as reconstruct } from "./reconstruct.js";
import { runRecipe } from "./train.js";

interface DemoOptions {
  readonly data?: string;
  /** What the starter model reconstructs; by default the first picture of the data. */
  readonly picture?: string;
  readonly out: string;
}

export async function run(
  _: readonly string[],
  { data, picture, out }: DemoOptions,
): Promise<number> {
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
  await showStarter(join(out, "starter"), { ...(data && { data }), ...(picture && { picture }) });
  output.log(
    `Training ${data ? `on ${data}` : "on drawn pictures"}: a Ti-Ti/8 tokenizer at ${config.data.size} px, ${config.train.steps} steps. It ends in ${join(out, "report", "index.html")}.`,
  );
  const command = `npm run demo${data ? ` -- --data ${data}` : ""}`;
  return runRecipe(config, { out, command, resume: false, output });
}

/** One picture through the package's trained model: at once, and what training is for. */
async function showStarter(
  out: string,
  { data = "drawn:val?count=1&size=256", picture }: { data?: string; picture?: string },
): Promise<void> {
  const starter = starterModel();
  if (!starter) return;
  let path = picture;
  if (!path) {
    mkdirSync(out, { recursive: true });
    path = join(out, "picture.png");
    await writeImage(path, await (await openSource(data)).load(0));
  }
  process.stdout.write("One picture through the trained starter model:\n\n");
  await reconstruct([starter, [path]], { out: join(out, "recon") });
  process.stdout.write("\nIn the browser: npx vitok studio. And now a model of your own.\n");
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
