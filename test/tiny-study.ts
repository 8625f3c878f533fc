// A study's folder as `vitok study` leaves it, as far as the studio reads it: one point, one verdict, a figure and a page.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StudyResults } from "../src/study/conclude.js";
import type { JudgedClaim } from "../src/study/findings.js";
import { resultsForm } from "../src/study/results.js";

export function saveStudy(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const judged = { verdict: "holds", numbers: "R2 0.94", paper: { verdict: "undecided" } };
  const results: Partial<Record<keyof StudyResults, unknown>> = {
    ...{ form: resultsForm, study: "fig3", scale: "mini", title: "Figure 3" },
    ...{ question: "Does E predict it?", place: "Section 3", cells: [{ state: "done" }] },
    points: [{ values: { patchSize: 8 }, latentSize: 4096, metrics: { PSNR: 27.314 } }],
    verdicts: [
      { ...judged, claim: "E predicts reconstruction" } satisfies Partial<
        Record<keyof JudgedClaim, unknown>
      >,
    ],
  };
  writeFileSync(join(folder, "results.json"), JSON.stringify(results));
  writeFileSync(
    join(folder, "psnr.svg"),
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>',
  );
  writeFileSync(join(folder, "index.html"), "<p>all of it</p>");
}
