// The studies that the studio shows, read from the results.json that `vitok study` writes, and nothing else of them.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { StudioStudy } from "../serve/studio.js";
import type { StudyResults } from "../study/conclude.js";
import { resultsForm } from "../study/results.js";

/** Every study with results below a folder; one of another form is left out: another version wrote it. */
export function findStudies(folder: string): StudioStudy[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).sort();
  return names.flatMap((name) => {
    const place = join(folder, name);
    const results = readResults(join(place, "results.json"));
    return results?.form === resultsForm ? [summaryOf(results, place)] : [];
  });
}

function readResults(path: string): StudyResults | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as StudyResults;
  } catch {
    return undefined; // none, or being written
  }
}

function summaryOf(results: StudyResults, folder: string): StudioStudy {
  const { study, scale, title, question, place, cells, points, verdicts } = results;
  const done = cells.filter(({ state }) => state === "done").length;
  const files = readdirSync(folder).sort();
  return {
    ...{ name: `${study}-${scale}`, title, question, place, done, cells: cells.length },
    verdicts: verdicts.map(({ claim, verdict, numbers, paper }) => ({
      ...{ claim, verdict, numbers },
      ...(paper && { paper: paper.verdict }),
    })),
    rows: points.map(({ values, latentSize, metrics }) => ({
      ...Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)])),
      ...(latentSize === undefined ? {} : { E: String(latentSize) }),
      ...Object.fromEntries(
        Object.entries(metrics).map(([key, value]) => [key, value.toPrecision(4)]),
      ),
    })),
    figures: files.filter((file) => file.endsWith(".svg")).map((file) => join(folder, file)),
    ...(files.includes("index.html") && { page: join(folder, "index.html") }),
  };
}
