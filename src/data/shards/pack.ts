// Packs a source into tar shards with an index.json: each clip's files as they are, its class beside them as .cls. Shards
// appear whole or not at all, so an interrupted packing goes on after its last one. Reading them is source.ts.
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { replaceFileAsync, writeFileAtomic, writeFully } from "../../atomic-file.js";
import { ConfigError } from "../../config-error.js";
import { MediaError } from "../../media/error.js";
import { encodeImage } from "../../media/image.js";
import { randomStream, shuffled } from "../random.js";
import type { Source, SourceFile } from "../source.js";
import { indexName } from "./list.js";
import { listSamples } from "./samples.js";
import { tarEnd, tarEntry } from "./tar.js";

export interface PackOptions {
  readonly out: string;
  /** Samples in a shard; the last one has what is left. */
  readonly shardSize: number;
  /** Seed of a random order, which mixes the classes over all shards; undefined keeps the source's order. */
  readonly shuffleSeed?: number | undefined;
  readonly onProgress?: (done: number) => void;
}

export interface PackResult {
  readonly shards: number;
  /** Shards that an earlier, interrupted packing had finished. */
  readonly kept: number;
  readonly samples: number;
  readonly bytes: number;
  readonly unreadable: readonly { file: string; reason: string }[];
}

/** A sample to pack: its place in the source, and its name in the shard, without extension. */
interface Item {
  readonly index: number;
  readonly key: string;
}

interface Shard {
  readonly url: string;
  readonly nsamples: number;
  readonly filesize: number;
}

/**
 * Writes the shards and, last, their index. Files that cannot be read are left out and listed.
 * @throws ConfigError where `out` holds shards of another set; an Error where more than 5 % cannot be read
 */
export async function packShards(source: Source, options: PackOptions): Promise<PackResult> {
  const { out, shardSize, onProgress } = options;
  await source.list?.();
  const items = itemsOf(source, options.shuffleSeed);
  mkdirSync(out, { recursive: true });
  removeDrafts(out);
  const shards: Shard[] = [];
  const unreadable: { file: string; reason: string }[] = [];
  let kept = 0;
  for (let start = 0; start < items.length; start += shardSize) {
    const part = items.slice(start, start + shardSize);
    const url = `${source.name}-${String(shards.length).padStart(6, "0")}.tar`;
    const path = join(out, url);
    if (existsSync(path)) {
      unreadable.push(...checkKept(path, part, source));
      kept++;
    } else unreadable.push(...(await writeShard(path, part, source)));
    shards.push({ url, nsamples: listSamples(path).length, filesize: statSync(path).size });
    requireMostlyReadable(unreadable, source);
    onProgress?.(start + part.length);
  }
  writeFileAtomic(join(out, indexName), indexOf(source, shards));
  return {
    ...{ shards: shards.length, kept, unreadable },
    samples: shards.reduce((sum, { nsamples }) => sum + nsamples, 0),
    bytes: shards.reduce((sum, { filesize }) => sum + filesize, 0),
  };
}

/** Every sample under a name that is unique and has no dot: up to the first dot, a name is a sample's key. */
function itemsOf(source: Source, seed: number | undefined): Item[] {
  const { length } = source;
  const taken = new Set<string>();
  const keys = Array.from({ length }, (_, index) => {
    const id = source.id(index);
    const stem = id.slice(0, id.length - extname(id).length);
    const key = stem.replace(/[^/]*$/, (name) => name.replaceAll(".", "_"));
    let unique = key;
    for (let copy = 2; taken.has(unique); copy++) unique = `${key}-${copy}`;
    taken.add(unique);
    return unique;
  });
  const order = seed === undefined ? [...keys.keys()] : [...shuffled(length, randomStream(seed))];
  return order.map((index) => ({ index, key: keys[index]! }));
}

/** Drafts of a packing that was killed. */
function removeDrafts(folder: string): void {
  for (const name of readdirSync(folder))
    if (name.endsWith(".tmp")) rmSync(join(folder, name), { force: true });
}

type Unreadable = { file: string; reason: string };

async function writeShard(
  path: string,
  items: readonly Item[],
  source: Source,
): Promise<Unreadable[]> {
  const unreadable: Unreadable[] = [];
  const together = 16; // read at once
  await replaceFileAsync(path, async (fd) => {
    for (let start = 0; start < items.length; start += together) {
      const part = items.slice(start, start + together);
      const read = await Promise.all(part.map(({ index }) => readFilesOf(source, index)));
      part.forEach(({ index, key }, i) => {
        const files = read[i]!;
        if (files instanceof MediaError) {
          unreadable.push({ file: source.id(index), reason: files.message });
          return;
        }
        for (const bytes of entriesOf(key, files, source.label(index))) writeFully(fd, bytes);
      });
    }
    writeFully(fd, tarEnd);
  });
  return unreadable;
}

function entriesOf(
  key: string,
  files: readonly SourceFile[],
  label: number | undefined,
): Uint8Array[] {
  const entries = files.flatMap(({ extension, bytes }) => tarEntry(`${key}.${extension}`, bytes));
  return label === undefined
    ? entries
    : [...entries, ...tarEntry(`${key}.cls`, Buffer.from(String(label)))];
}

/** A clip's files, or a PNG where the source has none; a MediaError is returned. */
async function readFilesOf(
  source: Source,
  index: number,
): Promise<readonly SourceFile[] | MediaError> {
  try {
    if (source.files) return await source.files(index);
    return [{ bytes: await encodeImage(await source.load(index), "png"), extension: "png" }];
  } catch (error) {
    if (error instanceof MediaError) return error;
    throw error;
  }
}

/** A finished shard must hold what would be written now, but for what could not be read. */
function checkKept(path: string, items: readonly Item[], source: Source): Unreadable[] {
  const wanted = new Set(items.map(({ key }) => key));
  const held = new Set(listSamples(path).map(({ key }) => key));
  const foreign = [...held].find((key) => !wanted.has(key));
  if (foreign !== undefined)
    throw new ConfigError(
      `Expected shards of ${source.name} in the order asked for, or none, in --out, received ${basename(path)} with ` +
        `"${foreign}". Choose another --out, or remove it.`,
    );
  return items
    .filter(({ key }) => !held.has(key))
    .map(({ index }) => ({
      file: source.id(index),
      reason: `${source.id(index)}: was left out of ${basename(path)} when it was written.`,
    }));
}

function requireMostlyReadable(unreadable: readonly Unreadable[], { length, name }: Source): void {
  if (unreadable.length < Math.min(3, length) || unreadable.length <= length * 0.05) return;
  throw new Error(
    `Expected at most 5 % unreadable files in ${name}, received ${unreadable.length} of ${length}. ` +
      `Remove or repair them:${unreadable
        .slice(0, 10)
        .map(({ reason }) => `\n  ${reason}`)
        .join("")}`,
  );
}

function indexOf({ name, classes }: Source, shardlist: readonly Shard[]): string {
  const kind = { __kind__: "wids-shard-index-v1", wids_version: 1 };
  return `${JSON.stringify({ ...kind, name, classes, shardlist }, null, 2)}\n`;
}
