// Scores of files against files: what `vitok metrics` computes. Pairs match by name; sets need no match, and may be saved
// statistics. Files are scored as they are, so both sides must have been cropped alike. Reconstructions: reconstruction.ts.

import type { Window } from "../media/video-info.js";
import { matchPairs, scorePairs } from "./file-pairs.js";
import { makeGallery } from "./gallery.js";
import { type GivenNetworks, loadNetworks } from "./networks.js";
import { type Plan, type PlanOptions, pairMetrics, planOf, wantedOf } from "./plan.js";
import { describeFiles, describeMethods, type Protocol, versions } from "./protocol.js";
import type { GalleryItem } from "./report.js";
import { Scoreboard, type ScoreSummary } from "./scoreboard.js";
import { type SetScores, scoreSets } from "./set-scores.js";
import { type LookOptions, lookAt, type PictureSet, type SetSide, saveSide } from "./set-side.js";

export interface PictureSetOptions extends PlanOptions {
  readonly batchSize: number;
  /** "cpu" or "cuda:0" */
  readonly device: string;
  /** What the clips of both sets are of their videos; for the passport. */
  readonly window?: Window | undefined;
  /** Where the real set's statistics for FID are written (.npz). */
  readonly saveStats?: string | undefined;
  /** Instead of loading them. */
  readonly networks?: GivenNetworks | undefined;
  /** At most so many pairs, and one of each of at most so many classes, come back for a report; none by default. */
  readonly galleryCount?: number | undefined;
  readonly classCount?: number | undefined;
  readonly onProgress?: ((part: Part, done: number, total: number) => void) | undefined;
}

/** What is being looked at. */
export type Part = "pairs" | Side;
type Side = "real" | "fake";

/** By the papers' names: PSNR (dB), SSIM, LPIPS, FID, KID, IS, FVD and the like. */
export interface PictureSetScores extends SetScores, ScoreSummary {
  readonly metrics: SetScores["metrics"];
  readonly gallery: readonly GalleryItem[];
  readonly protocol: Protocol;
}

/**
 * Scores the fake set against the real one.
 * @throws an Error where pairs do not match by name or differ in size, where saved statistics are of another protocol or
 * asked for more than FID, and where weights are missing; MediaError for a file that cannot be read
 */
export async function scorePictureSets(
  real: PictureSet,
  fake: PictureSet,
  options: PictureSetOptions,
): Promise<PictureSetScores> {
  const plan = planOf(options);
  requireFiles(plan, [real, fake]);
  const { device, batchSize, window, networks: given, saveStats } = options;
  const networks = loadNetworks(plan, { device, given });
  const sides: SetSide[] = [];
  try {
    const methods = await describeMethods(plan, networks, batchSize);
    const look = { plan, networks, batchSize, device, window, fid: methods.fid };
    const pairs = await lookAtPairs([real, fake], { ...look, options });
    for (const [side, set] of Object.entries({ real, fake }) as [Side, PictureSet][])
      sides.push(
        await lookAt(set, {
          ...look,
          wanted: wantedOf(plan, side),
          onProgress: (done, total) => options.onProgress?.(side, done, total),
        }),
      );
    const [realSide, fakeSide] = sides as [SetSide, SetSide];
    if (saveStats) saveSide(saveStats, realSide, look);
    const sets = scoreSets(plan, { real: realSide.statistics, fake: fakeSide.statistics });
    return {
      ...pairs,
      ...sets,
      metrics: { ...pairs.metrics, ...sets.metrics },
      warnings: [...sets.warnings, ...sides.flatMap(({ warning }) => warning ?? [])],
      protocol: {
        name: plan.protocol,
        ...{ set: realSide.name, setHash: realSide.setHash, count: fakeSide.count },
        ...describeFiles({ name: fakeSide.name, hash: fakeSide.setHash }, { device, window }),
        ...methods,
        realStats: realSide.setHash ? null : realSide.fileHash,
        ...versions(),
      },
    };
  } finally {
    for (const { statistics } of sides) statistics.dispose();
    networks.dispose();
  }
}

/** Writes the statistics of a set of pictures for FID, to be given instead of its files. */
export async function saveSetStatistics(
  set: PictureSet,
  options: PictureSetOptions,
): Promise<void> {
  const { device, batchSize, window, saveStats = "" } = options;
  const plan = planOf({ ...options, metrics: ["fid"] });
  const networks = loadNetworks(plan, { device, given: options.networks });
  try {
    const { fid } = await describeMethods(plan, networks, batchSize);
    const side = await lookAt(set, {
      ...{ plan, networks, batchSize, device, window, fid, wanted: wantedOf(plan, "real") },
      onProgress: (done, total) => options.onProgress?.("real", done, total),
    });
    try {
      saveSide(saveStats, side, { fid, device, window });
    } finally {
      side.statistics.dispose();
    }
  } finally {
    networks.dispose();
  }
}

const asksPairs = ({ metrics }: Plan): boolean =>
  pairMetrics.some((name) => metrics.includes(name));

type PairScores = ScoreSummary & Pick<PictureSetScores, "gallery">;
const noPairs: PairScores = {
  ...{ metrics: {}, intervals: {}, perImage: [], perClass: [] },
  gallery: [],
};

type PairOptions = Omit<LookOptions, "wanted" | "onProgress"> & { options: PictureSetOptions };

async function lookAtPairs(
  [real, fake]: readonly [PictureSet, PictureSet],
  { plan, networks, options, batchSize, device }: PairOptions,
): Promise<PairScores> {
  if (!asksPairs(plan) || typeof real === "string" || typeof fake === "string") return noPairs;
  const pairs = matchPairs(real, fake);
  const scoreboard = new Scoreboard(plan, networks.lpips);
  const onProgress = (done: number) => options.onProgress?.("pairs", done, pairs.length);
  await scorePairs(scoreboard, { real, fake, pairs }, { batchSize, device, onProgress });
  const { galleryCount: count = 0, classCount = 0 } = options;
  const wanted = { classes: real.classes, count, classCount };
  const partners = new Map(pairs);
  const gallery = await makeGallery(scoreboard, wanted, async (place) => {
    const [original, recon] = [await real.load(place), await fake.load(partners.get(place)!)];
    return { original, recon };
  });
  return { ...scoreboard.summary(real.classes), gallery };
}

/** Saved statistics are moments of FID's features: all that FID needs, and of the real set FID-infinity. */
function requireFiles({ metrics }: Plan, [real, fake]: readonly [PictureSet, PictureSet]): void {
  const enough = typeof fake === "string" ? ["fid"] : ["fid", "fid-inf"];
  const saved = [real, fake].find((set) => typeof set === "string");
  const others = metrics.filter((name) => !enough.includes(name));
  if (saved === undefined || !others.length) return;
  throw new Error(
    `Expected pictures for ${others.join(", ")}, received the statistics ${saved}. Ask for ${enough.join(",")} alone.`,
  );
}
