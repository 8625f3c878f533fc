// Reconstruction scores of a tokenizer on a set, in one pass: crop, encode to the posterior's mean, decode, round to
// bytes, and all metrics at once. Paper, section 2.3; spec section 5. Scores of files against files: picture-sets.ts.
import { existsSync } from "node:fs";
import { Loader } from "../data/loader.js";
import type { Source } from "../data/source.js";
import type { Artefacts, GridScore } from "../metrics/artefacts.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { scoreGrid } from "./flat-pictures.js";
import { makeGallery } from "./gallery.js";
import { type GivenNetworks, loadNetworks, type Networks } from "./networks.js";
import { type Plan, type PlanOptions, planOf } from "./plan.js";
import {
  describeMaking,
  describeMethods,
  listHash,
  type Protocol,
  versions,
  type WeightsId,
} from "./protocol.js";
import { ReconstructionPass, type Unreadable } from "./reconstruction-pass.js";
import { loadReference, type Reference, saveReference } from "./reference.js";
import type { GalleryItem } from "./report.js";
import type { ScoreSummary } from "./scoreboard.js";
import { type SetScores, scoreSets } from "./set-scores.js";

export interface EvaluateOptions extends PlanOptions {
  /** Height and width of the crop, pixels. */
  readonly size: number;
  readonly batchSize: number;
  /** The first so many files only. */
  readonly count?: number | undefined;
  /** Masked models: decode from the first so many tokens. */
  readonly keep?: number | undefined;
  /** At most so many pictures come back for the report; none by default. */
  readonly galleryCount?: number | undefined;
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
}

/** Scores by the papers' names: PSNR (dB), SSIM, LPIPS, the means over pictures and frames; rFID, rIS, rFVD. */
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
export async function evaluateReconstruction(
  tokenizer: Tokenizer,
  source: Source,
  options: EvaluateOptions,
): Promise<ReconstructionScores> {
  const plan = planOf(options);
  await source.list?.(); // the passport holds a hash of the names
  const set = firstOf(source, options.count ?? source.length);
  const { device } = tokenizer.encoder.norm.weight;
  const networks = loadNetworks(plan, { device, given: options.networks });
  let reference: Reference | undefined;
  let pass: ReconstructionPass | undefined;
  try {
    const described = await describe(tokenizer, set, { plan, networks, options });
    reference = await findReference(described, plan, options);
    const isForeign = reference !== undefined && reference.setHash !== described.setHash;
    const protocol = { ...described, realStats: isForeign ? reference!.hash : null };
    const { keep, size, galleryCount: count = 0 } = options;
    const facts = { count: set.length, keep, hasRealMoments: reference !== undefined };
    pass = new ReconstructionPass(tokenizer, { plan, networks }, facts);
    const identity = { ...protocol, hasRealMoments: facts.hasRealMoments };
    const unreadable = await look(pass, set, { plan, options, identity });
    pass.fake.finish();

    const real = reference ? { fid: [reference.moments], fvd: pass.real.fvd } : pass.real;
    const sets = scoreSets(plan, { real, fake: pass.fake, prefix: "r" });
    if (!reference) saveReal(pass, protocol, options);
    const pairs = pass.scoreboard.summary(set.classes);
    const grid = scoreGrid(pass, { size, config: tokenizer.config });
    return {
      ...pairs,
      ...sets,
      metrics: { ...pairs.metrics, ...sets.metrics },
      warnings: [...sets.warnings, ...(reference?.warning ? [reference.warning] : [])],
      artefacts: { ...pass.artefacts.compute(), grid },
      protocol: { ...protocol, count: pairs.perImage.length },
      gallery: await makeGallery(set, pass, { size, rules: plan.rules, count }),
      unreadable,
    };
  } finally {
    pass?.dispose();
    reference?.moments.dispose();
    networks.dispose();
  }
}

const unsaved: WeightsId = { weights: "raw", weightsHash: null };

function firstOf(source: Source, count: number): Source {
  const { name, classes } = source;
  return {
    ...{ name, classes, length: Math.min(count, source.length) },
    load: (index) => source.load(index),
    id: (index) => source.id(index),
    label: (index) => source.label(index),
  };
}

/** The passport before anything is seen: its count is that of the files to come. */
async function describe(
  tokenizer: Tokenizer,
  set: Source,
  { plan, networks, options }: { plan: Plan; networks: Networks; options: EvaluateOptions },
): Promise<Protocol> {
  const { size, keep, batchSize, model = unsaved } = options;
  return {
    name: plan.protocol,
    set: set.name,
    setHash: listHash(set),
    count: set.length,
    ...describeMaking(plan, tokenizer, { size, keep, model }),
    ...(await describeMethods(plan, networks, batchSize)),
    realStats: null,
    ...versions(),
  };
}

async function findReference(
  protocol: Protocol,
  { fidTap }: Plan,
  { realStats }: EvaluateOptions,
): Promise<Reference | undefined> {
  if (!realStats || !protocol.fid || !existsSync(realStats)) return undefined;
  return loadReference(realStats, protocol, Number(fidTap));
}

function saveReal(
  { real }: ReconstructionPass,
  protocol: Protocol,
  { realStats }: EvaluateOptions,
): void {
  const [moments, ...others] = real.fid;
  if (!realStats || !moments) return;
  if (others.length)
    throw new Error(
      "Expected pictures for real-stats, received clips scored by frame index. Leave real-stats out.",
    );
  saveReference(realStats, moments, protocol);
}

interface LookOptions {
  readonly plan: Plan;
  readonly options: EvaluateOptions;
  /** What a saved state must agree with. */
  readonly identity: Readonly<Record<string, unknown>>;
}

/** The pass over the files, from where a saved state stands; resolves to those that cannot be read. */
async function look(
  pass: ReconstructionPass,
  set: Source,
  { plan, options, identity }: LookOptions,
): Promise<Unreadable[]> {
  const { size, batchSize, state, onProgress } = options;
  const isResumed = state?.isResumed && existsSync(state.path);
  const start = isResumed
    ? pass.restore(state.path, identity)
    : { nextSample: 0, unreadable: [] as readonly Unreadable[] };
  const loader = new Loader(set, {
    ...{ size, batchSize, augment: false, filter: plan.rules.filter },
    startSample: start.nextSample,
  });
  const unreadable = () => [...start.unreadable, ...loader.unreadable];
  let savedMs = performance.now();
  for await (const batch of loader) {
    pass.update(batch);
    onProgress?.(loader.sample, set.length);
    if (!state || performance.now() - savedMs < (state.everyMs ?? 60_000)) continue;
    pass.save(state.path, identity, { nextSample: loader.sample, unreadable: unreadable() });
    savedMs = performance.now();
  }
  if (pass.scoreboard.state.files.length) return unreadable();
  throw new Error(
    `Expected readable files in ${set.name}, received none: ${unreadable()[0]?.reason}.`,
  );
}
