// Two lists of scores side by side, where their passports allow it: what is measured must differ, how must not.
import type { Protocol } from "./protocol.js";

/** What `evaluate` and `metrics` report as JSON, as far as it matters here. */
export interface ScoreFile {
  readonly metrics: Readonly<Record<string, number | null>>;
  readonly protocol: Readonly<Record<string, unknown>>;
}

export interface Comparison {
  readonly scores: readonly {
    readonly name: string;
    readonly a: number | null;
    readonly b: number | null;
    /** b - a, where both have the score. */
    readonly difference: number | null;
  }[];
  /** Fields that differ and may. */
  readonly notes: Readonly<Record<string, readonly [a: unknown, b: unknown]>>;
}

/** What is being compared, and on which machine. Every other field, known here or not, must agree. */
const mayDiffer: readonly (keyof Protocol)[] = [
  ...(["set", "weights", "weightsHash", "keep", "fake", "fakeHash"] as const),
  ...(["dtype", "device", "vitok", "libtorch"] as const),
];

/** Fields about one score only; they must agree where both sides have that score. */
const aboutOneScore: Partial<Record<keyof Protocol, RegExp>> = {
  psnr: /^PSNR$/,
  batchSize: /^PSNR$/,
  ssim: /^SSIM$/,
  msSsim: /^MS-SSIM$/,
  lpips: /^LPIPS$/,
  fid: /FID/,
  fidInf: /FID-inf/,
  kid: /KID/,
  pr: /Precision|Recall/,
  realStats: /FID/,
  is: /IS$/,
  fvd: /FVD$/,
};

/** @throws an Error that names each unlike field with both values, and where no score is in both */
export function compareScores(a: ScoreFile, b: ScoreFile): Comparison {
  const shared = Object.keys(a.metrics).filter((name) => name in b.metrics);
  if (!shared.length)
    throw new Error(
      `Expected a score in both files, received ${list(a.metrics)} and ${list(b.metrics)}. Score the same metrics.`,
    );
  const fields = [...new Set([...Object.keys(a.protocol), ...Object.keys(b.protocol)])];
  const unlike = fields.filter((name) => a.protocol[name] !== b.protocol[name]);
  const matters = (name: string) => {
    if ((mayDiffer as readonly string[]).includes(name)) return false;
    const about = aboutOneScore[name as keyof Protocol];
    return !about || shared.some((score) => about.test(score));
  };
  const refused = unlike.filter(matters);
  if (refused.length) throw new Error(refusal(refused, a.protocol, b.protocol));
  const names = [...new Set([...Object.keys(a.metrics), ...Object.keys(b.metrics)])];
  return {
    scores: names.map((name) => rowOf(name, a.metrics[name] ?? null, b.metrics[name] ?? null)),
    notes: Object.fromEntries(
      unlike.map((name) => [name, [a.protocol[name] ?? null, b.protocol[name] ?? null]]),
    ),
  };
}

function rowOf(name: string, a: number | null, b: number | null): Comparison["scores"][number] {
  return { name, a, b, difference: a === null || b === null ? null : b - a };
}

function refusal(fields: readonly string[], a: Row, b: Row): string {
  const lines = fields.map((name) => `  ${name}: ${show(a[name])} and ${show(b[name])}`);
  return `Expected scores of one protocol, received different\n${lines.join("\n")}\nScore both the same way.`;
}

type Row = Readonly<Record<string, unknown>>;
const show = (value: unknown): string => JSON.stringify(value ?? null);
const list = (scores: Row): string => Object.keys(scores).join(", ") || "none";
