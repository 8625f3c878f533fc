// What one evaluation of a tokenizer works with, from the loading of networks to the scores: a run makes passes, looks at
// ranges of the set with them, and concludes. Which ranges, in how many processes: reconstruction.ts.
import { existsSync } from "node:fs";
import { batchOf, clipsOf } from "../data/batch.js";
import type { Source } from "../data/source.js";
import { createLoader, defaultWorkers } from "../data/threaded-loader.js";
import { evaluationCrop } from "../data/transform.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import { scope } from "../torch/index.js";
import { scoreGrid } from "./flat-pictures.js";
import { makeGallery } from "./gallery.js";
import { loadNetworks, type Networks } from "./networks.js";
import type { Range } from "./parts.js";
import { type Plan, planOf } from "./plan.js";
import { describeMaking, describeMethods, listHash, type Protocol, versions } from "./protocol.js";
import { releasing } from "./read-ahead.js";
import type { EvaluateOptions, ReconstructionScores, StateOptions } from "./reconstruction.js";
import { ReconstructionPass, type Unreadable } from "./reconstruction-pass.js";
import { loadReference, type Reference, saveReference } from "./reference.js";
import type { GalleryItem } from "./report.js";
import { scoreSets } from "./set-scores.js";

export interface Run {
  readonly tokenizer: AutoEncoder;
  readonly set: Source;
  readonly plan: Plan;
  readonly options: EvaluateOptions;
  /** Its count is that of the files to come. */
  readonly protocol: Protocol;
  /** What a saved state must agree with. */
  readonly identity: Readonly<Record<string, unknown>>;
  readonly reference: Reference | undefined;
  /** A pass of this run, which disposes of it. */
  newPass(): ReconstructionPass;
}

/** Loads what an evaluation needs, lends it to `use`, and lets it go. */
export async function withRun<T>(
  tokenizer: AutoEncoder,
  source: Source,
  options: EvaluateOptions,
  use: (run: Run) => Promise<T>,
): Promise<T> {
  const plan = planOf(options);
  await source.list?.(); // the passport holds a hash of the names
  const set = firstOf(source, options.count ?? source.length);
  const { device } = tokenizer.placement;
  const networks = loadNetworks(plan, { device, given: options.networks });
  const held: { dispose(): void }[] = [networks];
  try {
    const described = await describe(tokenizer, set, { plan, networks, options });
    const reference = await findReference(described, plan, options);
    if (reference) held.push(reference.moments);
    const isForeign = reference !== undefined && reference.setHash !== described.setHash;
    const protocol = { ...described, realStats: isForeign ? reference.hash : null };
    const facts = {
      ...{ count: set.length, keep: options.keep, sampleSeed: sampleSeedOf(options) },
      hasRealMoments: reference !== undefined,
    };
    const newPass = () => {
      const pass = new ReconstructionPass(tokenizer, { plan, networks }, facts);
      held.push(pass);
      return pass;
    };
    const identity = { ...protocol, hasRealMoments: facts.hasRealMoments };
    return await use({ tokenizer, set, plan, options, protocol, identity, reference, newPass });
  } finally {
    for (const each of held) each.dispose();
  }
}

/** The first `count` files of a source, whatever else it can do. */
function firstOf(source: Source, count: number): Source {
  const length = Math.min(count, source.length);
  return new Proxy(source, {
    get(target, name) {
      if (name === "length") return length;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function describe(
  tokenizer: AutoEncoder,
  set: Source,
  { plan, networks, options }: { plan: Plan; networks: Networks; options: EvaluateOptions },
): Promise<Protocol> {
  const { size, window, keep, batchSize, model = { weights: "raw", weightsHash: null } } = options;
  const sampleSeed = sampleSeedOf(options);
  return {
    name: plan.protocol,
    set: set.name,
    setHash: listHash(set),
    count: set.length,
    ...describeMaking(plan, tokenizer, { size, window, keep, sampleSeed, model }),
    ...(await describeMethods(plan, networks, batchSize)),
    realStats: null,
    ...versions(),
  };
}

const sampleSeedOf = ({ latent, seed = 0 }: EvaluateOptions): number | undefined =>
  latent === "sample" ? seed : undefined;

async function findReference(
  protocol: Protocol,
  { fidTap }: Plan,
  { realStats }: EvaluateOptions,
): Promise<Reference | undefined> {
  if (!realStats || !protocol.fid || !existsSync(realStats)) return undefined;
  return loadReference(realStats, protocol, Number(fidTap));
}

interface LookOptions {
  readonly pass: ReconstructionPass;
  readonly range: Range;
  readonly state: StateOptions | undefined;
}

/** Looks at a range of the files, from where a saved state stands; resolves to those that cannot be read. */
export async function look(
  { tokenizer, set, plan, options, identity }: Run,
  { pass, range, state }: LookOptions,
): Promise<readonly Unreadable[]> {
  const { size, batchSize, onProgress } = options;
  const isResumed = state?.isResumed && existsSync(state.path);
  const from = isResumed
    ? pass.restore(state.path, identity)
    : { nextSample: range.start, unreadable: [] };
  const isSmall = range.end - from.nextSample < 256; // read before threads have started
  const loader = createLoader(set, {
    ...{ size, batchSize, augment: false, filter: plan.rules.filter },
    ...{ startSample: from.nextSample, endSample: range.end },
    workers: isSmall ? 0 : defaultWorkers(tokenizer.placement.device),
  });
  const unreadable = () => [...from.unreadable, ...loader.unreadable];
  const save = () =>
    state &&
    pass.save(state.path, identity, { nextSample: loader.sample, unreadable: unreadable() });
  let savedMs = performance.now();
  for await (const batch of releasing(loader)) {
    pass.update(batch);
    onProgress?.(loader.sample - range.start, range.end - range.start);
    if (!state || performance.now() - savedMs < (state.everyMs ?? 60_000)) continue;
    save();
    savedMs = performance.now();
  }
  if (state?.isKept) save();
  return unreadable();
}

/** The scores of everything that a pass has seen, which must be the whole set. */
export async function conclude(
  run: Run,
  pass: ReconstructionPass,
  unreadable: readonly Unreadable[],
): Promise<ReconstructionScores> {
  const { tokenizer, set, plan, options, protocol, reference } = run;
  if (!pass.scoreboard.state.files.length)
    throw new Error(
      `Expected readable files in ${set.name}, received none: ${unreadable[0]?.reason}.`,
    );
  pass.fake.finish();
  const { fvd, features } = pass.real;
  const real = reference ? { fid: [reference.moments], fvd, features } : pass.real;
  const sets = scoreSets(plan, { real, fake: pass.fake, prefix: "r" });
  if (!reference) saveReal(pass, protocol, options);
  const pairs = pass.scoreboard.summary(set.classes);
  const grid = scoreGrid(pass, { size: options.size, config: tokenizer.config });
  return {
    ...pairs,
    ...sets,
    metrics: { ...pairs.metrics, ...sets.metrics },
    warnings: [...sets.warnings, ...(reference?.warning ? [reference.warning] : [])],
    artefacts: { ...pass.artefacts.compute(), grid },
    protocol: { ...protocol, count: pairs.perImage.length },
    gallery: await picturesOf(run, pass),
    unreadable,
  };
}

function picturesOf({ set, plan, options }: Run, pass: ReconstructionPass): Promise<GalleryItem[]> {
  const { size, galleryCount: count = 0, classCount = 0, evenCount = 0 } = options;
  const { filter, rounding } = plan.rules;
  const wanted = { classes: set.classes, count, classCount, evenCount };
  return makeGallery(pass.scoreboard, wanted, async (place) => {
    const original = evaluationCrop(await set.load(place), size, filter);
    const batch = { ...batchOf([original]), indices: [place] };
    const [recon] = scope(() => clipsOf(pass.reconstruct(batch).pixels, rounding));
    return { original, recon: recon! };
  });
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
