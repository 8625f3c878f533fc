// What is to be scored, and by which rules: the metrics by name and the two protocols as data. Spec section 5.
// What a score then says about itself is protocol.ts.
import type { Rounding } from "../data/batch.js";
import type { Filter } from "../media/resample.js";
import type { SsimBorder } from "../metrics/ssim.js";
import type { I3dProtocol } from "../perceptual/i3d.js";
import type { TrunkName } from "../perceptual/lpips.js";

/** Those of a pair of pictures come first, then those of two sets: `pr` is precision and recall. */
export const pairMetrics = ["psnr", "ssim", "ms-ssim", "lpips"] as const;
export const setMetrics = ["fid", "fid-inf", "kid", "pr", "is", "fvd"] as const;
export const metricNames = [...pairMetrics, ...setMetrics] as const;
export type PairMetric = (typeof pairMetrics)[number];
export type MetricName = (typeof metricNames)[number];

export const protocolNames = ["standard", "vitok-paper"] as const;
export type ProtocolName = (typeof protocolNames)[number];

export interface Rules {
  /** Of the evaluation crop. */
  readonly filter: Filter;
  readonly rounding: Rounding;
  readonly inception: "inception-2015" | "inception-torchvision";
  /** Parts of the set whose Inception Scores are averaged. */
  readonly splits: number;
  /** Which pictures make a part: runs of the listed order, or torch-fidelity's shuffle: sets are listed by class. */
  readonly splitOrder: "listed" | "shuffled";
  /** PSNR of the mean squared error of a whole batch, then the mean; else of each picture. */
  readonly isPsnrPooled: boolean;
  /** FID and IS of clips: of the first frames, of the second, ..., then the mean; else of all frames as one set. */
  readonly isByFrame: boolean;
}

export const rules: Readonly<Record<ProtocolName, Rules>> = {
  standard: {
    filter: "bicubic",
    rounding: "nearest",
    inception: "inception-2015",
    splits: 10,
    splitOrder: "shuffled",
    isPsnrPooled: false,
    isByFrame: false,
  },
  "vitok-paper": {
    filter: "bilinear",
    rounding: "truncated",
    inception: "inception-torchvision",
    splits: 1,
    splitOrder: "listed",
    isPsnrPooled: true,
    isByFrame: true,
  },
};

export const fidTaps = ["64", "192", "768", "2048"] as const;
export type FidTap = (typeof fidTaps)[number];

/** How the 2015 network's input is resized: as TensorFlow 1 did, or as pytorch-fid does. */
export const fidInputs = ["tensorflow", "pytorch"] as const;
export type FidInput = (typeof fidInputs)[number];

/** Features of a set that are kept at most for KID, precision and recall, and FID-infinity: 82 MB of 2048 channels. */
export const featuresKept = 10_000;

/** What the metrics of a plan may be asked for by; all of it has defaults. */
export interface PlanOptions {
  readonly metrics: readonly MetricName[];
  /** `standard` by default. */
  readonly protocol?: ProtocolName | undefined;
  /** 2048 by default; a smaller one for weights that end early, and then the score's key says so: FID-768. */
  readonly fidTap?: FidTap | undefined;
  /** tensorflow by default. */
  readonly fidInput?: FidInput | undefined;
  /** Whose preparation of clips FVD follows: stylegan-v by default. */
  readonly fvdInput?: I3dProtocol | undefined;
  /** vgg by default. */
  readonly lpipsTrunk?: TrunkName | undefined;
  /** reflect by default, torchmetrics' way and vitok-paper's only one; see metrics/ssim.ts. */
  readonly ssimBorder?: SsimBorder | undefined;
  /** Let a GPU's frozen networks multiply in TensorFloat-32: some 3 times as fast, to about 1e-3. Not by default. */
  readonly tf32?: boolean | undefined;
  /** Weight files; by default those that perceptual/weights.ts finds. A TorchScript module, a program, must be named. */
  readonly inceptionPath?: string | undefined;
  readonly i3dPath?: string | undefined;
}

export interface Plan {
  readonly metrics: readonly MetricName[];
  readonly protocol: ProtocolName;
  readonly rules: Rules;
  readonly fidTap: FidTap;
  readonly fidInput: FidInput;
  readonly fvdInput: I3dProtocol;
  readonly lpipsTrunk: TrunkName;
  readonly ssimBorder: SsimBorder;
  readonly tf32: boolean;
  readonly inceptionPath: string | undefined;
  readonly i3dPath: string | undefined;
}

/** Defaults filled in. @throws a RangeError for what the protocol does not have */
export function planOf(options: PlanOptions): Plan {
  const { metrics, protocol = "standard", fidTap = "2048", lpipsTrunk = "vgg" } = options;
  const { fidInput = "tensorflow", inceptionPath, i3dPath } = options;
  const { fvdInput = "stylegan-v", ssimBorder = "reflect", tf32 = false } = options;
  if (protocol === "vitok-paper") {
    if (fidInput !== "tensorflow" || fidTap !== "2048")
      throw new RangeError(
        `Expected neither fid-input nor fid-tap for protocol vitok-paper, received ${fidInput} and ${fidTap}. ` +
          "Leave them out, or use protocol standard.",
      );
    if (ssimBorder !== "reflect")
      throw new RangeError(
        `Expected ssim-border reflect for protocol vitok-paper, received ${ssimBorder}. Leave it out, or use protocol standard.`,
      );
    const foreign = metrics.find((name) => featureMetrics.includes(name));
    if (foreign)
      throw new RangeError(
        `Expected metrics that the author's evaluator has for protocol vitok-paper, received ${foreign}. ` +
          "Leave it out, or use protocol standard.",
      );
  }
  const inputs = { fidTap, fidInput, fvdInput, lpipsTrunk, ssimBorder, tf32 };
  return { metrics, protocol, rules: rules[protocol], ...inputs, inceptionPath, i3dPath };
}

/** Those that need the features themselves, not their moments alone. */
const featureMetrics: readonly MetricName[] = ["fid-inf", "kid", "pr"];

/** What is to be kept of a set. */
export interface Wanted {
  /** Moments of Inception's features. */
  readonly fid: boolean;
  /** An even sample of these features. */
  readonly features: boolean;
  readonly is: boolean;
  readonly fvd: boolean;
}

/** What a plan needs of the real set and of the judged one. */
export function wantedOf({ metrics }: Pick<Plan, "metrics">, side: "real" | "fake"): Wanted {
  const has = (...names: MetricName[]) => names.some((name) => metrics.includes(name));
  const isFake = side === "fake";
  return {
    fid: has("fid", "fid-inf"),
    features: has("kid", "pr") || (isFake && has("fid-inf")),
    is: isFake && has("is"),
    fvd: has("fvd"),
  };
}

/** Whether a metric needs Inception. */
export const needsInception = ({ metrics }: Pick<Plan, "metrics">): boolean =>
  metrics.some((name) => ["fid", "is", ...featureMetrics].includes(name));

/** Names of metrics checked. @throws a RangeError that lists the known ones */
export function parseMetrics(names: readonly string[]): MetricName[] {
  return names.map((name) => {
    const known = metricNames.find((metric) => metric === name);
    if (known) return known;
    throw new RangeError(
      `Expected metrics of ${metricNames.join(", ")}, received "${name}". Leave it out.`,
    );
  });
}

/** How a score is called in the papers: FID, and FID-768 for another tap than theirs. */
export function scoreName(name: string, { fidTap }: Pick<Plan, "fidTap">): string {
  return fidTap !== "2048" && !/^(IS|FVD)$/.test(name) ? `${name}-${fidTap}` : name;
}
