// `vitok info DiT-L`, or a generator's folder: its parameters and its cost, without the engine.
import { join } from "node:path";
import {
  defineGenerator,
  ditName,
  type GeneratorConfig,
  generatorCost,
  isDitName,
} from "../generator/config.js";
import { factsFromJson, generatorFromJson, readGeneratorJson } from "../generator/facts.js";
import { formatCount, openOutput, styled, table } from "./output.js";

/** Whether what was named is a generator: a name, or a folder whose config.json says so. */
export function isGenerator(target: string): boolean {
  return isDitName(target) || readGeneratorJson(target) !== undefined;
}

export function describeGenerator(target: string, options: { readonly json?: boolean }): void {
  const output = openOutput(options);
  const json = readGeneratorJson(target);
  const path = join(target, "config.json");
  const config = json
    ? generatorFromJson(json, path)
    : defineGenerator({ variant: target, channels: 16, classes: 1000 });
  const facts = json && factsFromJson(json, path);
  const lengths = facts ? [facts.grid.t * facts.grid.h * facts.grid.w] : [256, 1024];
  const { params } = generatorCost(config, 1);
  const macs = lengths.map((tokens) => ({ tokens, macs: generatorCost(config, tokens).macs }));
  output.print(describe(config, { params, macs }));
  output.result({ variant: ditName(config), config, params, macs, ...(facts ? { facts } : {}) });
}

function describe(
  config: GeneratorConfig,
  {
    params,
    macs,
  }: {
    params: ReturnType<typeof generatorCost>["params"];
    macs: readonly { tokens: number; macs: number }[];
  },
): string {
  const { width, depth, heads, channels, classes, prediction } = config;
  const { blocks, conditioning, ends, total } = params;
  return [
    `${styled("bold", ditName(config))}  (predicts ${prediction}; ${channels} latent channels, ${classes} classes and the null class)`,
    "",
    table([
      {
        ...{ width, depth, heads, parameters: formatCount(total), blocks: formatCount(blocks) },
        ...{ conditioning: formatCount(conditioning), ends: formatCount(ends) },
      },
    ]),
    "",
    ...macs.map(
      ({ tokens, macs }) =>
        `${String(tokens).padStart(6)} tokens  ${formatCount(macs)} multiply-adds a pass`,
    ),
  ].join("\n");
}
