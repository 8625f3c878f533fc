// Reconstruction scores as the parts of a report page that they fill.
import type { ReconstructionScores } from "./reconstruction.js";
import type { ReportData } from "./report.js";

const units: Record<string, { unit?: string; better: "higher" | "lower" }> = {
  PSNR: { unit: "dB", better: "higher" },
  SSIM: { better: "higher" },
  LPIPS: { better: "lower" },
};

/** Scores with their intervals, the passport, pictures and the files in order of PSNR, worst first. */
export function reportOf(
  scores: ReconstructionScores,
): Pick<ReportData, "scores" | "protocol" | "gallery" | "files" | "unreadable"> {
  const { metrics, intervals, perImage, protocol, gallery, unreadable } = scores;
  const files = perImage.flatMap(({ file, scores: { PSNR } }) =>
    PSNR === undefined ? [] : [{ file, psnr: PSNR }],
  );
  return {
    scores: Object.entries(metrics).map(([name, value]) => ({
      name,
      value,
      ...(Number.isFinite(intervals[name]) ? { interval: intervals[name]! } : {}),
      ...(units[name] ?? { better: "higher" as const }),
    })),
    protocol: { ...protocol },
    gallery,
    files: files.sort((a, b) => a.psnr - b.psnr),
    unreadable,
  };
}
