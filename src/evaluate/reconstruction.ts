// Reconstruction scores of a tokenizer on a set, in one pass: crop, encode to the posterior's mean, decode, round to
// bytes, and all metrics at once, in one process or several. Paper, section 2.3; spec section 5. Scores of files against
// files: picture-sets.ts.
import { rmSync } from "node:fs";
import type { Source } from "../data/source.js";
import type { Window } from "../media/video-info.js";
import type { Artefacts, GridScore } from "../metrics/artefacts.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import type { GivenNetworks } from "./networks.js";
import { type Part, pathOfPart, rangeOf, siblingsOf } from "./parts.js";
import type { PlanOptions } from "./plan.js";
import type { Protocol, WeightsId } from "./protocol.js";
import { readPosition, type Unreadable } from "./reconstruction-pass.js";
import { conclude, look, type Run, withRun } from "./reconstruction-run.js";
import type { GalleryItem } from "./report.js";
import type { ScoreSummary } from "./scoreboard.js";
import type { SetScores } from "./set-scores.js";

export interface EvaluateOptions extends PlanOptions {
  /** Height and width of the crop, pixels. */
  readonly size: number;
  readonly batchSize: number;
  /** What the source's clips are of its videos; for the passport. */
  readonly window?: Window | undefined;
  /** The first so many files only. */
  readonly count?: number | undefined;
  /** Masked models: decode from the first so many tokens. */
  readonly keep?: number | undefined;
  /** What is decoded of the posterior: its mean, the default, or a draw that `seed` (0) and the place in the set decide. */
  readonly latent?: "mean" | "sample" | undefined;
  readonly seed?: number | undefined;
  /** At most so many pictures come back for the report; none by default. */
  readonly galleryCount?: number | undefined;
  /** And one picture each of at most so many classes; none by default. */
  readonly classCount?: number | undefined;
  /** And so many spread over the set, the same ones for every model; none by default. */
  readonly evenCount?: number | undefined;
  /** For the passport; raw weights that no file holds by default. */
  readonly model?: WeightsId | undefined;
  /** A file (.npz) of the originals' statistics for FID: read where it is, else made and written. */
  readonly realStats?: string | undefined;
  readonly state?: StateOptions | undefined;
  /** Instead of loading them. */
  readonly networks?: GivenNetworks | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Where everything seen so far is saved, so that a killed evaluation goes on. It stays: removing it is the caller's. */
export interface StateOptions {
  /** A .safetensors file. */
  readonly path: string;
  /** Go on from it, where it is. */
  readonly isResumed: boolean;
  /** A minute by default. */
  readonly everyMs?: number;
  /** Saved once more at the end. */
  readonly isKept?: boolean;
}

/** Scores by the papers' names: PSNR (dB), SSIM, LPIPS, the means over pictures and frames; rFID, rIS, rFVD and the like. */
export interface ReconstructionScores extends ScoreSummary, SetScores {
  readonly metrics: SetScores["metrics"];
  readonly artefacts: Artefacts & { readonly grid: GridScore };
  readonly protocol: Protocol;
  readonly gallery: readonly GalleryItem[];
  /** Left out of every score. */
  readonly unreadable: readonly Unreadable[];
}

/**
 * Scores a tokenizer on the files of a source in their listed order.
 * @throws an Error where more than 5 % of the files cannot be read, where a metric is asked for and its network has no
 * weights, where saved statistics or a saved state are of another protocol, and for FVD of pictures
 */
export function evaluateReconstruction(
  tokenizer: AutoEncoder,
  source: Source,
  options: EvaluateOptions,
): Promise<ReconstructionScores> {
  return withRun(tokenizer, source, options, async (run) => {
    const pass = run.newPass();
    const range = { start: 0, end: run.set.length };
    return conclude(run, pass, await look(run, { pass, range, state: options.state }));
  });
}

/** Options of a part. */
export interface PartOptions extends EvaluateOptions {
  readonly part: Part;
  /** A file of the folder that all parts share. */
  readonly state: StateOptions;
  /** Where the parts are looked at at the same time: returns when all processes have called it. Then the first gives the scores. */
  readonly meet?: (() => void) | undefined;
}

/** Numbers, from 1, of the parts that are not looked at to their end. */
export interface Waiting {
  readonly waitingFor: readonly number[];
}

/**
 * Looks at one of several parts of a set, each in a process of its own; they share the folder of `state`. The process that
 * ends last gives the scores of all, the same as one process would, and removes their states; the others learn which parts
 * they wait for. @throws as evaluateReconstruction() does
 */
export function evaluatePart(
  tokenizer: AutoEncoder,
  source: Source,
  { part, meet, ...options }: PartOptions,
): Promise<ReconstructionScores | Waiting> {
  return withRun(tokenizer, source, options, async (whole) => {
    const { state, batchSize } = options;
    const run = { ...whole, identity: { ...whole.identity, parts: part.count, batchSize } };
    const range = rangeOf(part, run.set.length, batchSize);
    const pass = run.newPass();
    const own = { ...state, path: pathOfPart(state.path, part), isKept: true };
    await look(run, { pass, range, state: own });
    meet?.();
    if (meet && part.index > 0) return { waitingFor: [] };
    const parts = siblingsOf(part).map((sibling) => ({
      ...{ number: sibling.index + 1, path: pathOfPart(state.path, sibling) },
      end: rangeOf(sibling, run.set.length, batchSize).end,
    }));
    const waitingFor = parts.filter(({ path, end }) => readPosition(path) !== end);
    if (waitingFor.length) return { waitingFor: waitingFor.map(({ number }) => number) };
    const paths = parts.map(({ path }) => path);
    const scores = await concludeParts(run, paths);
    for (const path of paths) rmSync(path, { force: true });
    return scores;
  });
}

/** In the parts' order, so that whoever ends last computes the same. */
function concludeParts(run: Run, paths: readonly string[]): Promise<ReconstructionScores> {
  const all = run.newPass();
  const unreadable = paths.flatMap((path) => {
    const pass = run.newPass();
    const { unreadable } = pass.restore(path, run.identity);
    all.merge(pass);
    return unreadable;
  });
  return conclude(run, all, unreadable);
}
