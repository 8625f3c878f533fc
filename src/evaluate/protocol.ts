// The passport of a score: what was measured on which set, and how. Two scores compare where their passports agree
// (compare.ts). Spec section 5; the rules behind the two names are plan.ts.
import { createHash } from "node:crypto";
import type { Source } from "../data/source.js";
import { fileHash } from "../file-hash.js";
import type { Window } from "../media/video-info.js";
import type { FeatureNetwork } from "../perceptual/feature-network.js";
import type { TrunkName } from "../perceptual/lpips.js";
import { findWeights, type WeightName } from "../perceptual/weights.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import { torchVersion } from "../torch/index.js";
import { version } from "../version.js";
import type { Networks } from "./networks.js";
import { featuresKept, type Plan, type ProtocolName, wantedOf } from "./plan.js";

/** Which weights were judged; the hash is that of model.safetensors, null for a model that no file holds. */
export type WeightsId = {
  readonly weights: "raw" | "ema";
  readonly weightsHash: string | null;
};

/** How the pictures that are scored came about: out of a model, or out of files. null is what does not apply. */
type Making = {
  /** Height and width of the crop, pixels. */
  readonly size: number | null;
  readonly crop: string;
  /** Clips: which frames of a video; null for pictures. */
  readonly window: string | null;
  readonly resize: string;
  readonly rounding: string;
  readonly latent: string | null;
  /** Masked models: leading tokens that were decoded; null is all of them. */
  readonly keep: number | null;
  readonly weights: WeightsId["weights"] | null;
  readonly weightsHash: string | null;
  /** The set of files that is judged, and the hash of its names. */
  readonly fake: string | null;
  readonly fakeHash: string | null;
};

/** How each score was computed; null for one that was not asked for. */
type Methods = {
  readonly psnr: string | null;
  /** Where it changes a score: pooled PSNR. */
  readonly batchSize: number | null;
  readonly ssim: string | null;
  readonly msSsim: string | null;
  /** Trunk and the hashes of its file and its heads. */
  readonly lpips: string | null;
  /** Network, tap, input and the hash of its file; so are the next ones. */
  readonly fid: string | null;
  /** What FID-infinity, KID, precision and recall are computed from, and how. */
  readonly fidInf: string | null;
  readonly kid: string | null;
  readonly pr: string | null;
  /** Hash of the file that the originals' statistics came from, where it does not say that they are this set's. */
  readonly realStats: string | null;
  readonly is: string | null;
  readonly fvd: string | null;
};

/** Flat, so that it prints as a table. Hashes are the first 16 hex digits of a SHA-256. */
export type Protocol = Making &
  Methods & {
    readonly name: ProtocolName;
    readonly set: string;
    /** Of the names in their order, one a line; null for statistics that do not tell. */
    readonly setHash: string | null;
    /** Files scored. */
    readonly count: number;
    readonly dtype: string;
    readonly device: string;
    readonly vitok: string;
    readonly libtorch: string;
  };

export const versions = () => ({ vitok: version, libtorch: torchVersion() });

export interface ReconstructionFacts {
  readonly size: number;
  readonly window: Window | undefined;
  readonly keep: number | undefined;
  /** Of latents that are drawn from the posterior; undefined: its mean. */
  readonly sampleSeed: number | undefined;
  readonly model: WeightsId;
}

/** Of reconstructions by a tokenizer. */
export function describeMaking(
  { rules }: Plan,
  tokenizer: AutoEncoder,
  { size, window, keep, sampleSeed, model }: ReconstructionFacts,
): Making & Pick<Protocol, "dtype" | "device"> {
  const { dtype, device } = tokenizer.placement;
  return {
    size,
    crop: "short side, then centre",
    window: describeWindow(window),
    resize: `${rules.filter}, antialiased`,
    rounding: rules.rounding === "nearest" ? "nearest uint8" : "truncated to uint8",
    latent: sampleSeed === undefined ? "mean" : `sample, seed ${sampleSeed}`,
    keep: keep ?? null,
    weights: model.weights,
    weightsHash: model.weightsHash,
    fake: null,
    fakeHash: null,
    dtype,
    device: kindOf(device),
  };
}

const describeWindow = (window: Window | undefined): string | null =>
  window && window.frames > 1
    ? `${window.frames} frames at ${window.fps} fps, the middle of each video`
    : null;

/** Of files scored as they are. */
export function describeFiles(
  fake: Pick<Source, "name"> & { hash: string | null },
  { device, window }: { device: string; window: Window | undefined },
): Making & Pick<Protocol, "dtype" | "device"> {
  return {
    size: null,
    crop: "none",
    window: describeWindow(window),
    resize: "none",
    rounding: "files as they are",
    latent: null,
    keep: null,
    weights: null,
    weightsHash: null,
    fake: fake.name,
    fakeHash: fake.hash,
    dtype: "float32",
    device: kindOf(device),
  };
}

/** cuda:1 -> cuda: a score is the same on every GPU of a machine. */
const kindOf = (device: string): string => device.split(":")[0]!;

/** How the metrics of a plan are computed. `batchSize` is recorded where it changes a score. */
export async function describeMethods(
  plan: Plan,
  { image, video }: Pick<Networks, "image" | "video">,
  batchSize: number,
): Promise<Omit<Methods, "realStats">> {
  const { metrics, rules, fidTap, lpipsTrunk, ssimBorder, tf32 } = plan;
  const isAsked = (name: Plan["metrics"][number]) => metrics.includes(name);
  const describe = async (network: FeatureNetwork | undefined, tap: string) =>
    (await describeNetwork(network!, tap)) + (tf32 ? "; TensorFloat-32" : "");
  const tap = `tap ${fidTap}`;
  const sampled = async (how: string) =>
    `${await describe(image, tap)}; ${how} of at most ${featuresKept} features, evenly sampled`;
  const border = ssimBorder === "valid" ? "windows within the picture" : "mirrored border";
  const { isPsnrPooled, isByFrame, splits, splitOrder } = rules;
  const frames = isByFrame ? "; clips by frame index" : "";
  const parts = splits === 1 ? "the whole set" : `${splits} splits, ${splitOrder}`;
  return {
    psnr: isAsked("psnr") ? (isPsnrPooled ? "pooled error of a batch" : "per picture") : null,
    batchSize: isAsked("psnr") && isPsnrPooled ? batchSize : null,
    ssim: isAsked("ssim") ? `11 x 11 Gaussian, sigma 1.5, ${border}` : null,
    msSsim: isAsked("ms-ssim") ? `5 scales, 11 x 11 Gaussian, sigma 1.5, ${border}` : null,
    lpips: isAsked("lpips")
      ? (await describeLpips(lpipsTrunk)) + (tf32 ? "; TensorFloat-32" : "")
      : null,
    fid: wantedOf(plan, "real").fid ? (await describe(image, tap)) + frames : null,
    fidInf: isAsked("fid-inf") ? await sampled("15 subsets") : null,
    kid: isAsked("kid") ? await sampled("100 subsets of at most 1000") : null,
    pr: isAsked("pr") ? await sampled("3rd neighbours") : null,
    is: isAsked("is") ? `${await describe(image, "logits")}; ${parts}${frames}` : null,
    fvd: isAsked("fvd") ? await describe(video, "logits") : null,
  };
}

async function describeNetwork(network: FeatureNetwork, tap: string): Promise<string> {
  const { name, input, weightsPath } = network;
  const hash = weightsPath ? await fileHash(weightsPath) : "no file";
  return `${name} ${tap}; ${input}; ${hash}`;
}

/** Of the names of a set's files in their order, one a line. */
export function listHash(source: Source): string {
  const hash = createHash("sha256");
  for (let index = 0; index < source.length; index++) hash.update(`${source.id(index)}\n`);
  return shortened(hash.digest("hex"));
}

const lpipsFiles: Record<TrunkName, readonly [trunk: WeightName, heads: WeightName]> = {
  vgg: ["vgg16", "lpips-vgg"],
  alex: ["alexnet", "lpips-alex"],
  squeeze: ["squeezenet", "lpips-squeeze"],
};

async function describeLpips(trunk: TrunkName): Promise<string> {
  const hashes = await Promise.all(lpipsFiles[trunk].map((name) => fileHash(findWeights(name))));
  return `${trunk} ${hashes.join(" ")}`;
}

const shortened = (hex: string) => hex.slice(0, 16);
