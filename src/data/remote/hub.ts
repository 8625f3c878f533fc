// Data sets on the Hugging Face hub as lists of shards: hf://datasets/owner/name[@revision][/pattern], tar or parquet.
// Fetching and the shared cache are hub-files.ts; what the files hold is parquet.ts and shards/.
import { basename } from "node:path/posix";
import type { AsyncBuffer } from "hyparquet";
import { minimatch } from "minimatch";
import { ConfigError } from "../../config-error.js";
import { expandBraces, indexName, parseIndex, type ShardList, withIndex } from "../shards/list.js";
import { machineCache, type ShardCache } from "./cache.js";
import { type HubFile, type HubPlace, HubRevision } from "./hub-files.js";
import { type ParquetFacts, parquetFacts, withFacts } from "./parquet.js";
import { patient, type RetryPolicy, transferRange } from "./transfer.js";
import { asTar } from "./unpack.js";

export interface HubOptions {
  readonly cache?: ShardCache;
  readonly policy?: RetryPolicy;
}

interface Place extends HubPlace {
  /** A path, folder or pattern in the repository; empty for all of it. */
  readonly pattern: string;
}

const isTar = ({ path }: HubFile): boolean => /\.(tar|tar\.gz|tgz)$/i.test(path);
const isParquet = ({ path }: HubFile): boolean => /\.parquet$/i.test(path);

/** The shards of a data set; lengths and class names come from the ends of parquet files, or from an index of tar ones. */
export async function listHub(spec: string, options: HubOptions = {}): Promise<ShardList> {
  const { policy = patient } = options;
  const place = parseSpec(spec);
  const hub = new HubRevision(place, policy);
  await hub.open();
  const all = await hub.list();
  const files = choose(all, place, spec);
  const cache = () => options.cache ?? machineCache();
  const shards = files.map((file) =>
    asTar({ name: basename(file.path), fetch: () => hub.fetch(file) }, cache),
  );
  const list = { name: place.name.replace("/", "--"), files: shards, isLocal: false };
  if (isParquet(files[0]!))
    return withFacts(
      list,
      files.map((file) => () => factsOf(file, hub, policy)),
    );
  return withLengths(list, all, hub);
}

function parseSpec(spec: string): Place {
  const match = /^hf:\/\/(?:datasets\/)?([^/@]+\/[^/@]+)(?:@([^/]+))?(?:\/(.*))?$/.exec(spec);
  if (match) {
    const [, name = "", revision = "main", pattern = ""] = match;
    return { type: "dataset", name, revision: decodeURIComponent(revision), pattern };
  }
  throw new ConfigError(
    `Expected hf://datasets/owner/name[@revision][/pattern] for data, received "${spec}".`,
  );
}

/** The files that fit; where no pattern is given, tar or else parquet, and of several splits the training one. */
function choose(all: readonly HubFile[], { pattern }: Place, spec: string): HubFile[] {
  const patterns = expandBraces(pattern.replace(/\/$/, "/**"));
  const fitting = pattern
    ? all.filter(({ path }) => patterns.some((one) => minimatch(path, one)))
    : all;
  const shards = [isTar, isParquet]
    .map((isKind) => fitting.filter(isKind))
    .find(({ length }) => length > 0);
  if (!shards) {
    const found = all
      .slice(0, 8)
      .map(({ path }) => path)
      .join(", ");
    throw new ConfigError(`Expected tar or parquet files in ${spec}, found ${found || "none"}.`);
  }
  const training = shards.filter(({ path }) => /train/i.test(path));
  return pattern || training.length === 0 ? shards : training;
}

/** From a few small ranges of a parquet file instead of all of it. */
async function factsOf(
  { path, size }: HubFile,
  hub: HubRevision,
  policy: RetryPolicy,
): Promise<ParquetFacts> {
  const name = hub.nameOf(path);
  const slice: AsyncBuffer["slice"] = async (start, end = size) => {
    const bytes = await transferRange(name, hub.ask(path), { start, end, policy });
    return new Uint8Array(bytes).buffer;
  };
  return parquetFacts(name, { byteLength: size, slice });
}

/** From an index.json, or from the _info.json that data sets of WebDataset shards often carry. */
async function withLengths(
  list: ShardList,
  all: readonly HubFile[],
  hub: HubRevision,
): Promise<ShardList> {
  const has = (name: string) => all.some(({ path }) => path === name);
  if (has(indexName)) return withIndex(list, parseIndex(await hub.text(indexName), indexName));
  if (!has("_info.json")) return list;
  const info = JSON.parse(await hub.text("_info.json")) as InfoFile;
  const shardlist = Object.values(info.splits ?? {}).flatMap(({ filenames, shard_lengths }) =>
    filenames.map((url, i) => ({ url, nsamples: shard_lengths[i]! })),
  );
  return withIndex(list, { shardlist });
}

interface InfoFile {
  readonly splits?: Readonly<Record<string, { filenames: string[]; shard_lengths: number[] }>>;
}
