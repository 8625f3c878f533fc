// `vitok info S-B/16` or `vitok info models/x`: what a model is and costs, without the engine. Generators: info-generator.ts.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../config-error.js";
import { fromJson, parseVariant, type TokenizerConfig, variantName } from "../tokenizer/config.js";
import { type Cost, costOf, type InputSize, usualSize } from "../tokenizer/cost.js";
import { describeGenerator, isGenerator } from "./info-generator.js";
import { formatCount, openOutput, styled, table } from "./output.js";

interface InfoOptions {
  readonly size?: number;
  readonly frames?: number;
  readonly json?: boolean;
}

export async function run([named = ""]: readonly string[], options: InfoOptions): Promise<void> {
  const ofRun = join(named, "model");
  const target = existsSync(join(ofRun, "config.json")) ? ofRun : named;
  if (isGenerator(target)) return describeGenerator(target, options);
  const output = openOutput(options);
  const config = readConfig(target);
  const usual = usualSize(config);
  const side = options.size;
  const size = {
    frames: options.frames ?? usual.frames,
    height: side ?? usual.height,
    width: side ?? usual.width,
  };
  const cost = costOf(config, size);
  const variant = variantName(config);
  output.print(describe(variant, config, { cost, size }));
  output.result({ variant, config, input: size, ...cost });
}

/** A folder with a `config.json`, or a variant's name. */
function readConfig(target: string): TokenizerConfig {
  const isFolder = statSync(target, { throwIfNoEntry: false })?.isDirectory();
  if (!isFolder) {
    try {
      return parseVariant(target);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError(`${message} There is no model folder of that name either.`, { cause });
    }
  }
  const path = join(target, "config.json");
  try {
    return fromJson(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`Expected a model config in ${path}, received: ${reason}`, { cause });
  }
}

function describe(
  variant: string,
  config: TokenizerConfig,
  { cost, size }: { cost: Cost; size: InputSize },
): string {
  const row = (name: "encoder" | "decoder") => ({
    "": name,
    ...config[name],
    parameters: formatCount(cost.params[name]),
    "multiply-adds": formatCount(cost.macs[name]),
    ...Object.fromEntries(
      Object.entries(cost.params.parts[name]).map(([part, count]) => [part, formatCount(count)]),
    ),
  });
  const traits = [
    config.latentTokens > 0 ? `${config.latentTokens} latent tokens` : "",
    config.maskable ? "maskable" : "",
  ].filter(Boolean);
  const frames = size.frames === 1 ? "" : `${size.frames} frames of `;
  return [
    `${styled("bold", variant)}${traits.length ? `  (${traits.join(", ")})` : ""}`,
    "",
    table([row("encoder"), row("decoder")]),
    "",
    `Total           ${formatCount(cost.params.total)} parameters, ${formatCount(cost.macs.total)} multiply-adds`,
    `Input           ${frames}${size.height} x ${size.width} pixels: ${cost.tokens} tokens`,
    `Latent          ${cost.latentSize} numbers, ${cost.compressionRatio.toFixed(1)} x fewer than the input's`,
  ].join("\n");
}
