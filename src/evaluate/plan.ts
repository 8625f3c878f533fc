// What is to be scored, and by which rules: the metrics by name and the two protocols as data. Spec section 5.
// What a score then says about itself is protocol.ts.
import type { Rounding } from "../data/batch.js";
import type { Filter } from "../media/resample.js";
import type { TrunkName } from "../perceptual/lpips.js";

/** Those of a pair of pictures come first, then those of two sets. */
export const pairMetrics = ["psnr", "ssim", "ms-ssim", "lpips"] as const;
export const setMetrics = ["fid", "is", "fvd"] as const;
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

/** What the metrics of a plan may be asked for by; all of it has defaults. */
export interface PlanOptions {
  readonly metrics: readonly MetricName[];
  /** `standard` by default. */
  readonly protocol?: ProtocolName | undefined;
  /** 2048 by default; a smaller one for weights that end early, and then the score's key says so: FID-768. */
  readonly fidTap?: FidTap | undefined;
  /** tensorflow by default. */
  readonly fidInput?: FidInput | undefined;
  /** vgg by default. */
  readonly lpipsTrunk?: TrunkName | undefined;
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
  readonly lpipsTrunk: TrunkName;
  readonly inceptionPath: string | undefined;
  readonly i3dPath: string | undefined;
}

/** Defaults filled in. @throws a RangeError for an input that the protocol does not have */
export function planOf(options: PlanOptions): Plan {
  const { metrics, protocol = "standard", fidTap = "2048", lpipsTrunk = "vgg" } = options;
  const { fidInput = "tensorflow", inceptionPath, i3dPath } = options;
  if (protocol === "vitok-paper" && (fidInput !== "tensorflow" || fidTap !== "2048"))
    throw new RangeError(
      `Expected neither fid-input nor fid-tap for protocol vitok-paper, received ${fidInput} and ${fidTap}. ` +
        "Leave them out, or use protocol standard.",
    );
  const paths = { inceptionPath, i3dPath };
  return { metrics, protocol, rules: rules[protocol], fidTap, fidInput, lpipsTrunk, ...paths };
}

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
export function scoreName(metric: MetricName, { fidTap }: Pick<Plan, "fidTap">): string {
  const name = metric.toUpperCase();
  return metric === "fid" && fidTap !== "2048" ? `${name}-${fidTap}` : name;
}
