// Which recipe a config asks for.
import type { TrainConfig } from "./config.js";
import { GeneratorRecipe, isGeneratorConfig } from "./generator.js";
import type { Together } from "./learner.js";
import type { Recipe } from "./recipe.js";
import { Stage1 } from "./stage1.js";
import { Stage2 } from "./stage2.js";

/**
 * The recipe of `train.stage`, on a device; dispose of it. `checkpoint`: it is about to be put back into this one, so what
 * `train.from` names is not needed and may be gone. `together`: the processes it trains with.
 */
export async function createRecipe(
  written: TrainConfig,
  device: string,
  { checkpoint, together }: { checkpoint?: string | undefined; together?: Together } = {},
): Promise<Recipe> {
  const from = written.train.from && (checkpoint ?? written.train.from);
  const config = { ...written, train: { ...written.train, from } };
  if (isGeneratorConfig(config)) return GeneratorRecipe.create(config, device, together);
  const Kind = config.train.stage === 2 ? Stage2 : Stage1;
  return new Kind(config, device, together);
}
