// The originals' statistics in a file, so that a set is looked at once and not for every model. What they were made of
// and how is in the file; statistics made another way are refused. Other tools' files say nothing, and pass with a warning.

import { fileHash } from "../file-hash.js";
import type { Moments } from "../metrics/moments.js";
import { loadMoments, readMomentsMetadata, saveMoments } from "../metrics/moments-file.js";
import type { Protocol } from "./protocol.js";

/** What must agree between a file of statistics and what is compared with it. */
export type ReferenceFacts = Pick<Protocol, "fid" | "size" | "crop" | "window" | "resize">;
/** Whose statistics they are. */
export type ReferenceSet = Pick<Protocol, "set" | "setHash">;

export interface Reference extends ReferenceSet {
  readonly moments: Moments;
  readonly path: string;
  /** Of the file. */
  readonly hash: string;
  /** Why they are less certain than they look. */
  readonly warning: string | undefined;
}

/** @throws an Error that names each field in which the statistics were made another way, and for another number of channels */
export async function loadReference(
  path: string,
  facts: ReferenceFacts,
  channels: number,
): Promise<Reference> {
  const saved = readMomentsMetadata(path);
  const wanted = textsOf(facts);
  const unlike = Object.keys(wanted).filter(
    (name) => name in saved && saved[name] !== wanted[name],
  );
  if (unlike.length) {
    const lines = unlike.map((name) => `  ${name}: ${saved[name]}, here ${wanted[name]}`);
    throw new Error(
      `Expected statistics of this protocol for ${path}, received others\n${lines.join("\n")}\nMake them anew.`,
    );
  }
  const moments = loadMoments(path);
  if (moments.channels !== channels) {
    moments.dispose();
    throw new Error(
      `Expected statistics of ${channels} channels for ${path}, received ${moments.channels}. Use those of the same tap.`,
    );
  }
  const warning =
    "fid" in saved ? undefined : `${path} does not say how it was made: taken as ${facts.fid}.`;
  const { set = path, setHash = null } = saved;
  return { moments, path, hash: await fileHash(path), set, setHash, warning };
}

/** Writes a set's statistics with all that `loadReference` checks. */
export function saveReference(
  path: string,
  moments: Moments,
  { set, setHash, ...facts }: ReferenceFacts & ReferenceSet,
): void {
  saveMoments(path, moments, { ...textsOf(facts), set, ...(setHash ? { setHash } : {}) });
}

function textsOf(facts: ReferenceFacts): Record<string, string> {
  const { fid, size, crop, window, resize } = facts;
  const texts = { fid: fid ?? "none", size: String(size ?? "any"), crop, resize };
  return { ...texts, window: window ?? "pictures" };
}
