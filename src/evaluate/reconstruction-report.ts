// Scores, of a model or between two sets of files, as the parts of a report page that they fill.
import type { PictureSetScores } from "./picture-sets.js";
import type { ReconstructionScores } from "./reconstruction.js";
import type { ReportData, Score } from "./report.js";
import type { Scores } from "./scoreboard.js";

/** What both have; pictures and artefacts where there are some. */
type Scored = Omit<PictureSetScores, "gallery"> &
  Partial<Pick<ReconstructionScores, "gallery" | "unreadable" | "artefacts">>;

type Parts = Pick<
  ReportData,
  "scores" | "protocol" | "gallery" | "files" | "unreadable" | "classes" | "artefacts" | "warnings"
>;

/** Scores with their intervals, the passport, pictures, classes, artefacts and the files by their first score, worst first. */
export function reportOf(scores: Scored): Parts {
  const { metrics, perImage, perClass, protocol, warnings } = scores;
  const { gallery = [], unreadable = [], artefacts } = scores;
  const first = Object.keys(perImage[0]?.scores ?? {})[0] ?? "";
  const isWorse = lowerIsBetter(first) ? -1 : 1;
  const byFirst = <T extends { scores: Scores }>(rows: readonly T[]) =>
    [...rows].sort((a, b) => isWorse * ((a.scores[first] ?? 0) - (b.scores[first] ?? 0)));
  const told = Object.entries(protocol).filter(([, value]) => value !== null);
  return {
    scores: Object.entries(metrics).map(([name, value]) => cardOf(name, value, scores)),
    protocol: Object.fromEntries(told),
    gallery,
    files: first ? byFirst(perImage) : [],
    classes: byFirst(perClass),
    ...(artefacts ? { artefacts: artefactsOf(artefacts) } : {}),
    warnings,
    unreadable,
  };
}

function cardOf(
  name: string,
  value: number,
  { intervals, deviations }: Pick<Scored, "intervals" | "deviations">,
): Score {
  const [interval = Number.NaN, deviation = 0] = [intervals[name], deviations[name]];
  return {
    ...{ name, value },
    ...(Number.isFinite(interval) ? { interval } : {}),
    // A single part, or parts that are all the whole set, deviate by rounding alone.
    ...(deviation > 1e-6 * Math.abs(value) ? { deviation } : {}),
    ...(name === "PSNR" ? { unit: "dB" } : {}),
    better: lowerIsBetter(name) ? "lower" : "higher",
  };
}

const lowerIsBetter = (name: string): boolean => /LPIPS|FID|KID|FVD/.test(name);

function artefactsOf(artefacts: ReconstructionScores["artefacts"]): Record<string, string> {
  const { grid, drift, saturated, nonFinite } = artefacts;
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  const [red, green, blue] = drift.map((value) => value.toFixed(2));
  return {
    [`grid every ${grid.period} pixels on flat colours`]: `${grid.amplitude.toFixed(3)} of 255, ${percent(grid.share)} of what is not flat`,
    "colour drift": `red ${red}, green ${green}, blue ${blue} of 255`,
    "saturated values": `${percent(saturated.recon)}, of the originals ${percent(saturated.original)}`,
    "values that are not finite": percent(nonFinite),
  };
}
