// Which recipe a config asks for.
import type { TrainConfig } from "./config.js";
import type { Recipe } from "./recipe.js";
import { Stage1 } from "./stage1.js";
import { Stage2 } from "./stage2.js";

/** The recipe of `train.stage`, on a device; dispose of it. */
export async function createRecipe(config: TrainConfig, device: string): Promise<Recipe> {
  return config.train.stage === 2 ? new Stage2(config, device) : new Stage1(config, device);
}
