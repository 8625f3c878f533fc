// A run's log as the report's curves. Drawing them is evaluate/charts.ts.

import type { Chart } from "../evaluate/charts.js";
import type { RunRecord, StepLine } from "./log.js";

/** Loss terms, each evaluated metric, learning rate, gradient norm and speed over the steps. */
export function chartsOf({ steps, evals }: RunRecord): Chart[] {
  const terms = [...new Set(steps.flatMap((line) => Object.keys(line.terms)))];
  const metrics = [...new Set(evals.flatMap((line) => Object.keys(line.metrics)))];
  const curve = (
    title: string,
    label: string,
    value: (line: StepLine) => number | null,
  ): Chart => ({
    title,
    label,
    series: [{ name: title, points: steps.map((line) => [line.step, value(line)]) }],
  });
  return [
    {
      title: "Loss terms, unweighted",
      label: "logarithmic",
      logarithmic: true,
      series: terms.map((name) => ({
        name,
        points: steps.map((line) => [line.step, line.terms[name] ?? null]),
      })),
    },
    ...metrics.map((name) => ({
      title: `${name} while training`,
      label: name === "PSNR" ? "dB" : name,
      series: [
        { name, points: evals.map((line) => [line.step, line.metrics[name] ?? null] as const) },
      ],
    })),
    curve("Learning rate", "", (line) => line.lr),
    curve("Gradient norm", "before clipping", (line) => line.gradNorm),
    curve("Speed", "images per second", (line) => line.imagesPerSecond),
  ];
}
