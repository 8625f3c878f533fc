// One of the processes of test/data-parallel.test.ts: stage 1 on drawn pictures, as the training loop does it, in torchrun's
// environment or alone. Arguments: folder for what rank 0 saw, steps, and settings of the recipe as JSON; `overlaps` is the learner's.
import assert from "node:assert";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Loader } from "../../src/data/loader.js";
import { openSource } from "../../src/data/source.js";
import { stateDict } from "../../src/nn/parameters.js";
import { writeSafetensors } from "../../src/nn/safetensors.js";
import { liveTensors, scope, setNumThreads } from "../../src/torch/index.js";
import { parseTrainConfig } from "../../src/train/config.js";
import { Team } from "../../src/train/data-parallel.js";
import { Stage1 } from "../../src/train/stage1.js";

const [out = "", steps = "1", settings = "{}"] = process.argv.slice(2);
setNumThreads(1);
const before = liveTensors();
const { overlaps = true, ...own } = JSON.parse(settings);
const recipeConfig = parseTrainConfig({
  model: { variant: "Tiw48d2h3-Tiw48d2h3/8" },
  data: { path: "drawn:train?count=64&size=32", size: 32 },
  losses: { lpips: 0 },
  train: {
    ...{ steps: 100, batchSize: 8, peakLr: 1e-3, precision: "float32", maxGradNorm: 0.5 },
    ...own,
  },
});
const config = { ...recipeConfig, train: { ...recipeConfig.train, overlaps } };
const team = await Team.open({ device: "cpu", resumeCommand: "none" });
const recipe = new Stage1(config, team.device, team);
const loader = new Loader(await openSource(config.data.path), {
  ...{ batchSize: config.train.batchSize, size: 32, augment: true, prefetch: 1 },
  ...{ rank: team.rank, worldSize: team.size },
});
mkdirSync(out, { recursive: true });
const write = (name: string, pick: "grad" | "value") =>
  scope(() => {
    const tensors = Object.entries(stateDict(recipe.tokenizer)).map(
      ([key, leaf]) => [key, pick === "grad" ? leaf.grad : leaf] as const,
    );
    const found = Object.fromEntries(tensors.flatMap(([key, item]) => (item ? [[key, item]] : [])));
    if (team.isFirst) writeSafetensors(join(out, `${name}.safetensors`), found);
  });

const losses: number[] = [];
for (let step = 0; step < Number(steps); step++) {
  const batch = (await loader.next())!;
  losses.push(team.average({ loss: recipe.step(batch, step).loss }).loss);
  if (step === 0) write("gradients", "grad");
  if (step !== 9) continue;
  write("weights", "value");
  scope(() => {
    const state = recipe.optimizer.stateDict();
    if (team.isFirst) writeSafetensors(join(out, "optimizer.safetensors"), state);
  });
}
const state = recipe.optimizer.stateDict();
if (team.isFirst) {
  writeFileSync(join(out, "losses.json"), JSON.stringify(losses));
}
scope(() => {
  recipe.optimizer.loadStateDict(state);
  const again = recipe.optimizer.stateDict();
  for (const [name, tensor] of Object.entries(state))
    assert.deepEqual(again[name]!.toBytes(), tensor.toBytes(), `${name}, saved and put back`);
});
if (config.train.shardOptimizer) for (const tensor of Object.values(state)) tensor.dispose();
loader.close();
recipe.dispose();
await team.close(true);
if (liveTensors() !== before) throw new Error(`${liveTensors() - before} tensors were left`);
