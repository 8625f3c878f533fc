// One side of a comparison of sets: a folder's files looked at by the frozen networks, or the statistics that were saved.
import { existsSync } from "node:fs";
import type { Source } from "../data/source.js";
import type { Window } from "../media/video-info.js";
import { scope } from "../torch/index.js";
import type { Networks } from "./networks.js";
import type { Plan, Wanted } from "./plan.js";
import { describeFiles, listHash, type Protocol } from "./protocol.js";
import { readAhead, runsOfOneSize, stackClips } from "./read-ahead.js";
import { loadReference, saveReference } from "./reference.js";
import { SetStatistics } from "./set-statistics.js";

/** Files, or the path of saved statistics (.npz), which serve FID alone. */
export type PictureSet = Source | string;

export interface SetSide {
  readonly name: string;
  /** Of the names of the files; null where saved statistics do not tell. */
  readonly setHash: string | null;
  /** Of the file of statistics; null for pictures. */
  readonly fileHash: string | null;
  /** Clips; NaN where saved statistics do not tell. */
  readonly count: number;
  readonly statistics: Pick<SetStatistics, "fid" | "fvd" | "is" | "features" | "dispose">;
  readonly warning?: string | undefined;
}

export interface LookOptions {
  readonly plan: Plan;
  readonly networks: Networks;
  readonly wanted: Wanted;
  /** How FID is computed, for the passport of statistics. */
  readonly fid: Protocol["fid"];
  readonly batchSize: number;
  readonly device: string;
  /** What the clips of a set are of its videos; for the passport. */
  readonly window: Window | undefined;
  readonly onProgress: (done: number, total: number) => void;
}

/** Looks at a set. Dispose of its statistics. */
export function lookAt(set: PictureSet, options: LookOptions): Promise<SetSide> {
  return typeof set === "string" ? loadSide(set, options) : readSide(set, options);
}

async function loadSide(
  path: string,
  { plan, fid, device, window }: LookOptions,
): Promise<SetSide> {
  if (!existsSync(path))
    throw new Error(`Expected a file of statistics for ${path}, received none. Check the path.`);
  const facts = { fid, ...describeFiles({ name: path, hash: null }, { device, window }) };
  const reference = await loadReference(path, facts, Number(plan.fidTap));
  const { moments, set: name, setHash, hash: fileHash, warning } = reference;
  const none = { fvd: [], is: [], features: [] };
  const statistics = { fid: [moments], ...none, dispose: () => moments.dispose() };
  return { name, setHash, fileHash, count: moments.count, statistics, warning };
}

async function readSide(set: Source, options: LookOptions): Promise<SetSide> {
  const { plan, networks, wanted, batchSize: chunk, device, onProgress } = options;
  const { name, length: count } = set;
  const statistics = new SetStatistics(plan, networks, { wanted, count });
  const side = { name, setHash: listHash(set), fileHash: null, count, statistics };
  if (!Object.values(wanted).some(Boolean)) return side;
  try {
    for await (const { start, items } of readAhead({ count, chunk }, (i) => set.load(i))) {
      for (const [first, end] of runsOfOneSize(items))
        scope(() => {
          const clips = items.slice(first, end);
          const numbers = clips.map((_, i) => start + first + i);
          statistics.update(stackClips(clips, device), numbers);
        });
      onProgress(start + items.length, count);
    }
    return side;
  } catch (error) {
    statistics.dispose();
    throw error;
  }
}

/** Writes a side's statistics for FID, to be given instead of its files. */
export function saveSide(
  path: string,
  { name, setHash, statistics }: SetSide,
  { fid, device, window }: Pick<LookOptions, "fid" | "device" | "window">,
): void {
  const [moments, ...others] = statistics.fid;
  if (!moments || others.length)
    throw new Error(
      `Expected pictures and the metric fid for ${path}, received ${moments ? "clips scored by frame index" : "another metric"}. ` +
        "Leave save-stats out.",
    );
  const making = describeFiles({ name, hash: null }, { device, window });
  saveReference(path, moments, { fid, ...making, set: name, setHash });
}
