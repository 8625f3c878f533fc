// From what a user writes to the list of shards: a folder of shards, files with braces `{000..127}` or globs, an index.json
// beside them. Addresses are remote/list.ts; what lies inside a shard is samples.ts.
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { asyncBufferFromFile } from "hyparquet";
import { minimatch } from "minimatch";
import { z } from "zod";
import { ConfigError } from "../../config-error.js";
import { MediaError } from "../../media/error.js";
import { machineCache } from "../remote/cache.js";
import { type ParquetFacts, parquetFacts, withFacts } from "../remote/parquet.js";
import { asTar } from "../remote/unpack.js";

/** A shard somewhere. */
export interface ShardFile {
  /** Without its folder or address: how samples are named. */
  readonly name: string;
  /** The path it can be read at, once it is there. MediaError where it cannot be had. */
  fetch(): Promise<string>;
}

export interface ShardList {
  readonly name: string;
  readonly files: readonly ShardFile[];
  /** Samples of each shard, where an index tells; else all shards have to be read first. */
  readonly lengths?: readonly number[] | undefined;
  /** Class names by label, where an index tells. */
  readonly classes?: readonly string[] | undefined;
  /** Whether listing all samples at once costs no transfer. */
  readonly isLocal: boolean;
}

export const indexName = "index.json";
export const shardPattern = /\.(tar|tar\.gz|tgz|parquet)$/i;

/** The index that wids, of WebDataset, reads too; `classes` is ours. */
const indexSchema = z.looseObject({
  shardlist: z.array(z.looseObject({ url: z.string(), nsamples: z.int().nonnegative() })),
  classes: z.array(z.string()).optional(),
});
export type ShardIndex = z.output<typeof indexSchema>;

/** @throws ConfigError naming the index where it is no such JSON */
export function parseIndex(text: string, path: string): ShardIndex {
  try {
    return indexSchema.parse(JSON.parse(text));
  } catch (cause) {
    const message = `Expected {"shardlist": [{"url", "nsamples"}]} in ${path}, received something else.`;
    throw new ConfigError(`${message} Remove it or write it anew with vitok pack.`, { cause });
  }
}

/** Whether `openShards` is for this: a pattern of shards, an index, or a folder of shards and nothing else to read. */
export async function isShardSpec(spec: string): Promise<boolean> {
  if (shardPattern.test(spec) || basename(spec) === indexName) return true;
  if (!(await isFolder(spec)) || (await shardsIn(spec)).length === 0) return false;
  const entries = await readdir(spec, { withFileTypes: true });
  const others = entries.filter(({ name }) => !shardPattern.test(name) && !name.startsWith("."));
  return others.every((entry) => entry.isFile() && /\.(json|txt|md|tmp)$/i.test(entry.name));
}

/** The local shards that a folder, an index or a pattern names. */
export async function listShards(spec: string): Promise<ShardList> {
  if (await isFolder(spec)) return listFolderOfShards(resolve(spec));
  if (basename(spec) === indexName) return listFolderOfShards(dirname(resolve(spec)));
  const paths = await expandPattern(spec);
  return withIndex(await localShards(nameOf(spec), paths), await readIndex(dirname(paths[0]!)));
}

async function listFolderOfShards(folder: string): Promise<ShardList> {
  const index = await readIndex(folder);
  const names = index ? index.shardlist.map(({ url }) => url) : await shardsIn(folder);
  const paths = names.map((name) => join(folder, name));
  return withIndex(await localShards(basename(folder), paths), index);
}

/** Takes lengths and classes from an index that knows all of the list's shards. */
export function withIndex(list: ShardList, index: ShardIndex | undefined): ShardList {
  if (!index) return list;
  const known = new Map(index.shardlist.map(({ url, nsamples }) => [basename(url), nsamples]));
  const lengths = list.files.map(({ name }) => known.get(name));
  if (lengths.includes(undefined)) return list;
  return { ...list, lengths: lengths as number[], classes: index.classes };
}

async function localShards(name: string, paths: readonly string[]): Promise<ShardList> {
  const files = paths.map((path) =>
    asTar({ name: basename(path), fetch: async () => path }, machineCache),
  );
  const list = { name, files, isLocal: true };
  if (!paths.every((path) => path.endsWith(".parquet"))) return list;
  return withFacts(
    list,
    paths.map((path) => async () => localFacts(path)),
  );
}

async function localFacts(path: string): Promise<ParquetFacts> {
  const file = await asyncBufferFromFile(path).catch((cause: Error) => {
    throw new MediaError(path, `cannot be read: ${cause.message}`, { cause });
  });
  return parquetFacts(path, file);
}

async function readIndex(folder: string): Promise<ShardIndex | undefined> {
  const path = join(folder, indexName);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? undefined : parseIndex(text, path);
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

async function shardsIn(folder: string): Promise<string[]> {
  return (await readdir(folder))
    .filter((name) => shardPattern.test(name) && !name.startsWith("."))
    .sort();
}

/** "sets/train-{000..127}.tar" is "train-{000..127}". */
export const nameOf = (spec: string): string => basename(spec).replace(shardPattern, "");

/** Braces into each of their values in the order written, globs into the files there are, in byte order. */
async function expandPattern(spec: string): Promise<string[]> {
  const paths: string[] = [];
  for (const pattern of expandBraces(spec)) {
    if (!hasGlob(pattern)) paths.push(pattern);
    else paths.push(...(await glob(pattern)));
  }
  if (paths.length > 0) return paths;
  throw new ConfigError(
    `Expected tar shards that fit "${spec}" for data, found none. Check the pattern.`,
  );
}

export const expandBraces = (pattern: string): string[] => minimatch.braceExpand(pattern);
export const hasGlob = (pattern: string): boolean => /[*?[\]]/.test(pattern);

/** Files that fit a pattern, looked for below its last folder without a wildcard. */
async function glob(pattern: string): Promise<string[]> {
  const parts = pattern.split("/");
  const fixed = parts.slice(0, parts.findIndex(hasGlob));
  const root = fixed.length === 0 ? "." : fixed.join("/") || "/";
  const recursive = parts.length - fixed.length > 1;
  const names = await readdir(root, { recursive, encoding: "utf8" }).catch(() => []);
  const paths = names.map((name) => (fixed.length === 0 ? name : join(root, name)));
  return paths.filter((path) => minimatch(path, pattern)).sort();
}
