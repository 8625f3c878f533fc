// Where clips come from: a numbered, ordered set that loads one clip at a time. A new kind of source
// implements `Source` and gets its line in `openSource`.
import { ConfigError } from "../config-error.js";
import type { Clip } from "../media/clip.js";
import type { Window } from "../media/video-info.js";
import type { ClipRequest } from "./clip-file.js";
import { openDrawn } from "./drawn-source.js";
import { openFolder } from "./folder.js";
import { isListFile, openListFile } from "./list-file.js";
import { listHub } from "./remote/hub.js";
import { isRemote, listRemote } from "./remote/list.js";
import { isShardSpec, listShards } from "./shards/list.js";
import type { OrderRequest } from "./shards/order.js";
import { openShards } from "./shards/source.js";

/** A file of a clip as it is stored, and the extension that tells what it is. */
export interface SourceFile {
  readonly bytes: Uint8Array;
  readonly extension: string;
}

export interface Source {
  /** What a report calls the set. */
  readonly name: string;
  /** Number of clips. */
  readonly length: number;
  /** Class names, in the order of their labels; empty where the set has none. */
  readonly classes: readonly string[];
  /** Decodes clip `index`, 0 <= index < length. MediaError where it cannot be read. */
  load(index: number, request?: ClipRequest): Promise<Clip>;
  /** Frames a second of clips. Where it is there, `load` gives another window of a video for another request. */
  readonly fps?: number;
  /** The stored files of clip `index`, one or those of a film; absent where clips are made, not stored. */
  files?(index: number): Promise<readonly SourceFile[]>;
  /** A name for clip `index` that is unique in the set: the file, where there is one. */
  id(index: number): string;
  /** Index into `classes`, or undefined where the set has none. */
  label(index: number): number | undefined;
  /** Before it, names and labels of a remote set may be known only of what was loaded. */
  list?(): Promise<void>;
  /** An epoch's random order, where not every order can be read; without it, any permutation. */
  order?(request: OrderRequest): Uint32Array;
  /** Told that clip `index` is wanted soon; `lookAhead` says how many samples ahead is soon enough. */
  expect?(index: number): void;
  readonly lookAhead?: number;
  /** What opens it again in another thread. */
  readonly origin?: SourceOrigin;
}

export interface SourceOrigin {
  readonly spec: string;
  readonly window: Window | undefined;
  /** Of pictures that stand still for so many frames (joint-loader.ts). */
  readonly frames?: number;
}

/**
 * Opens a set by what the user wrote: a folder of pictures or videos; shards (`train-{000..127}.tar`, `shards/*.tar`, a
 * folder of them; tar or parquet; also behind https:// and s3://); a data set of the Hugging Face hub
 * (`hf://datasets/owner/name`); `list.txt?root=DIR` for the files that a list names; or `drawn:train?count=2048&size=64` for
 * the embedded drawn pictures (`drawn:val` holds others). With a `window` of several frames a clip is that much of a video.
 */
export async function openSource(spec: string, window?: Window): Promise<Source> {
  const source = await open(spec, window);
  const { frames, fps } = window ?? {};
  const origin = { spec, window: frames && fps ? { frames, fps } : undefined };
  return Object.assign(source, { origin });
}

async function open(spec: string, window: Window | undefined): Promise<Source> {
  if (/^drawn(:|$)/.test(spec)) return openDrawn(spec);
  if (spec.startsWith("hf://")) return openShards(await listHub(spec), window);
  if (isRemote(spec)) return openShards(await listRemote(spec), window);
  const scheme = /^([a-z0-9+]+):\/\//i.exec(spec)?.[1];
  if (scheme) {
    throw new ConfigError(
      `Expected a folder, shards, https://, s3://, hf:// or drawn:train for data, received "${spec}". ` +
        `Copy what ${scheme}:// holds into a folder first.`,
    );
  }
  if (isListFile(spec)) return openListFile(spec, window);
  return (await isShardSpec(spec))
    ? openShards(await listShards(spec), window)
    : openFolder(spec, window);
}
