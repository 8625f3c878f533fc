// `vitok pack SRC --out DIR`: any set of pictures into tar shards with an index.json, resumable; with --fps a set of
// videos, decoded once.

import { packedClips } from "../data/packed-clips.js";
import { packShards } from "../data/shards/pack.js";
import { openSource, type Source } from "../data/source.js";
import { openOutput } from "./output.js";
import { openProgress } from "./progress.js";

interface PackCommandOptions {
  readonly out: string;
  readonly shardSize: number;
  readonly keepOrder?: boolean;
  readonly fps?: number;
  readonly size?: number;
  readonly seconds: number;
  readonly quality: number;
  readonly json?: boolean;
}

export async function run(
  [spec = ""]: readonly string[],
  options: PackCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const { out, shardSize, keepOrder } = options;
  const source = await openSet(spec, options);
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

async function openSet(
  spec: string,
  { fps, size = 128, seconds, quality }: PackCommandOptions,
): Promise<Source> {
  if (fps === undefined) return openSource(spec);
  const frames = Math.max(2, Math.round(seconds * fps)); // several: videos are asked for
  return packedClips(await openSource(spec, { frames, fps }), { size, fps, seconds, quality });
}
