// Reconstruction scores as the parts of a report page that they fill.
import type { ReconstructionScores } from "./reconstruction.js";
import type { ReportData, Score } from "./report.js";

type Parts = Pick<
  ReportData,
  "scores" | "protocol" | "gallery" | "files" | "unreadable" | "classes" | "artefacts" | "warnings"
>;

/** Scores with their intervals, the passport, pictures, classes, artefacts and the files by PSNR, worst first. */
export function reportOf(scores: ReconstructionScores): Parts {
  const { metrics, perImage, perClass, protocol, gallery, warnings, unreadable } = scores;
  const files = perImage.flatMap(({ file, scores: { PSNR } }) =>
    PSNR === undefined ? [] : [{ file, psnr: PSNR }],
  );
  const told = Object.entries(protocol).filter(([, value]) => value !== null);
  return {
    scores: Object.entries(metrics).map(([name, value]) => cardOf(name, value, scores)),
    protocol: Object.fromEntries(told),
    gallery,
    files: files.sort((a, b) => a.psnr - b.psnr),
    classes: [...perClass].sort((a, b) => (a.scores.PSNR ?? 0) - (b.scores.PSNR ?? 0)),
    artefacts: artefactsOf(scores),
    warnings,
    unreadable,
  };
}

function cardOf(
  name: string,
  value: number,
  { intervals, deviations }: ReconstructionScores,
): Score {
  const spread = deviations[name] ?? intervals[name] ?? Number.NaN;
  return {
    ...{ name, value },
    ...(Number.isFinite(spread) ? { interval: spread } : {}),
    ...(name === "PSNR" ? { unit: "dB" } : {}),
    better: /LPIPS|FID|FVD/.test(name) ? "lower" : "higher",
  };
}

function artefactsOf({ artefacts }: ReconstructionScores): Record<string, string> {
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
