// `vitok encode MODEL --data SRC --out DIR`: a whole data set to a folder of latents, the share of this process.
import { encodeSet, planSet } from "../codec/encode-set.js";
import { ConfigError } from "../config-error.js";
import { openSource } from "../data/source.js";
import { listHash } from "../evaluate/protocol.js";
import { loadModel, type PlacementOptions } from "./model.js";
import { openOutput } from "./output.js";
import { openProgress } from "./progress.js";

export interface EncodeSetCommandOptions extends PlacementOptions {
  readonly data: string;
  readonly out: string;
  readonly size?: number;
  readonly frames?: number;
  readonly fps?: number;
  readonly batchSize?: number;
  readonly dtype?: "float16" | "bfloat16";
  readonly flip?: boolean;
  readonly shardSize?: number;
  readonly json?: boolean;
}

export async function encodeData(
  target: string,
  options: EncodeSetCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const { data, out, dtype = "float16", flip = true, shardSize = 4096 } = options;
  const [rank, worldSize] = readShare();
  const { frames = 1, fps = 8 } = options;
  const source = await openSource(data, { frames, fps });
  await source.list?.();
  const { tokenizer, id, ...model } = await loadModel(target, options);
  const size = options.size ?? model.size;
  const plan = planSet(tokenizer, source, {
    tokenizerHash: id.weightsHash ?? "",
    setHash: listHash(source),
    views: flip ? 2 : 1,
    ...{ size, dtype, shardSize, frames },
  });
  const progress = openProgress("encode", { total: source.length });
  const manifest = await encodeSet(tokenizer, source, {
    ...{ out, plan, rank, worldSize, batchSize: options.batchSize ?? 32 },
    onProgress: (done) => progress.update(done),
  }).finally(() => {
    progress.stop();
    tokenizer.dispose();
  });
  if (!manifest) {
    output.print(`The share of process ${rank} of ${worldSize} is in ${out}; others are not yet.`);
    output.result({ out, complete: false });
    return 0;
  }
  const { count, unreadable, shards, mean, std, grid, channels } = manifest;
  for (const { file, reason } of unreadable) output.log(`${file}: ${reason}`);
  output.print(
    `${count} of ${source.length} encoded into ${out}: ${grid.join(" x ")} tokens of ${channels} channels, ` +
      `${plan.views === 2 ? "and mirrored, " : ""}in ${shards.length} shards.`,
  );
  output.result({ out, complete: true, count, grid, channels, mean, std, unreadable });
  return unreadable.length ? 1 : 0;
}

/** This process's number and how many there are, as torchrun tells. */
function readShare(): [rank: number, worldSize: number] {
  const read = (name: string, initial: number): number => {
    const value = Number(process.env[name] ?? initial);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new ConfigError(
      `Expected a whole number for the environment's ${name}, received ${process.env[name]}. Unset it for one process.`,
    );
  };
  const [rank, worldSize] = [read("RANK", 0), read("WORLD_SIZE", 1)];
  if (rank < worldSize) return [rank, worldSize];
  throw new ConfigError(
    `Expected a RANK below WORLD_SIZE, received ${rank} of ${worldSize}. Unset both for one process.`,
  );
}
