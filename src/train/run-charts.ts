// A run's log as the report's curves. Drawing them is evaluate/charts.ts.

import type { Chart } from "../evaluate/charts.js";
import type { RunRecord, StepLine } from "./log.js";

type Value = (line: StepLine) => number | null;

/** Gauges that are read beside each other. One that is not here has a chart of its own. */
const together = [
  { title: "Discriminator's logits", label: "mean", names: ["realLogit", "fakeLogit"] },
  {
    title: "Discriminator's strength",
    label: "hinge: 1 by chance, 0 too strong",
    names: ["hinge", "toldApart"],
  },
];

/** Loss terms, each evaluated metric, learning rate, gradient norm, speed and the recipe's gauges over the steps. */
export function chartsOf({ steps, evals }: RunRecord): Chart[] {
  const metrics = [...new Set(evals.flatMap((line) => Object.keys(line.metrics)))];
  const chart = (title: string, label: string, series: Record<string, Value>): Chart => ({
    ...{ title, label },
    series: Object.entries(series).map(([name, value]) => ({
      name,
      points: steps.map((line) => [line.step, value(line)] as const),
    })),
  });
  const curve = (title: string, label: string, value: Value) =>
    chart(title, label, { [title]: value });
  const terms = namesOf(steps, (line) => line.terms).filter((name) => name !== "adversarial");
  const term =
    (name: string): Value =>
    (line) =>
      line.terms[name] ?? null;
  const valuesOf = (names: readonly string[], value: (name: string) => Value) =>
    Object.fromEntries(names.map((name) => [name, value(name)]));
  return [
    { ...chart("Loss terms, unweighted", "logarithmic", valuesOf(terms, term)), logarithmic: true },
    ...metrics.map((name) => ({
      title: `${name} while training`,
      label: name === "PSNR" ? "dB" : name,
      series: [
        { name, points: evals.map((line) => [line.step, line.metrics[name] ?? null] as const) },
      ],
    })),
    // Of either sign, so not among the logarithmic ones.
    curve("GAN term, unweighted", "-mean D(reconstruction)", term("adversarial")),
    ...gaugeGroups(steps).map(({ title, label, names }) =>
      chart(
        title,
        label,
        valuesOf(names, (name) => (line) => line.gauges?.[name] ?? null),
      ),
    ),
    curve("Learning rate", "", (line) => line.lr),
    curve("Gradient norm", "before clipping", (line) => line.gradNorm),
    curve("Speed", "images per second", (line) => line.imagesPerSecond),
  ];
}

function gaugeGroups(steps: readonly StepLine[]) {
  const names = namesOf(steps, (line) => line.gauges ?? {});
  const grouped = together.flatMap((group) => group.names);
  return [
    ...together.filter((group) => group.names.some((name) => names.includes(name))),
    ...names
      .filter((name) => !grouped.includes(name))
      .map((name) => ({ title: titleOf(name), label: "", names: [name] })),
  ];
}

function namesOf(steps: readonly StepLine[], part: (line: StepLine) => object): string[] {
  return [...new Set(steps.flatMap((line) => Object.keys(part(line))))];
}

/** `adversarialWeight` -> "Adversarial weight" */
function titleOf(name: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}
