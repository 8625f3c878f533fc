// `vitok pack SRC --out DIR`: any set of pictures into tar shards with an index.json, resumable.

import { packShards } from "../data/shards/pack.js";
import { openSource } from "../data/source.js";
import { openOutput } from "./output.js";
import { openProgress } from "./progress.js";

interface PackCommandOptions {
  readonly out: string;
  readonly shardSize: number;
  readonly keepOrder?: boolean;
  readonly json?: boolean;
}

export async function run(
  [spec = ""]: readonly string[],
  options: PackCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const { out, shardSize, keepOrder } = options;
  const source = await openSource(spec);
  const progress = openProgress("pack", { total: source.length });
  const result = await packShards(source, {
    ...{ out, shardSize, shuffleSeed: keepOrder ? undefined : 0 },
    onProgress: (done) => progress.update(done),
  }).finally(progress.stop);

  const { shards, kept, samples, bytes, unreadable } = result;
  output.print(
    `${samples} samples in ${shards} shards, ${(bytes / 2 ** 20).toFixed(1)} MiB, in ${out}` +
      `${kept ? `; ${kept} of them were there already` : ""}.`,
  );
  if (unreadable.length) output.log(`\n${unreadable.length} files could not be read:`);
  for (const { reason } of unreadable) output.log(`  ${reason}`);
  output.result({ out, ...result });
  return unreadable.length ? 1 : 0;
}
