// What there is to know of a metric to fit and draw it: which way is better, whether it is looked at in its logarithm, its unit;
// and how the score of a point is found by the paper's name for it.
import type { Values } from "./manifest.js";
import type { Point } from "./results.js";
import { meanWithInterval } from "./statistics.js";

/** Distances fall over decades: they are fitted and drawn in their logarithm, which gives the paper's own R^2. */
export const isLogarithmic = (metric: string): boolean => /F(I|V)D|KID/.test(metric);
export const isLowerBetter = (metric: string): boolean => /F(I|V)D|KID|LPIPS/.test(metric);
export const unitOf = (metric: string): string => (metric === "PSNR" ? " (dB)" : "");
export const isOfSamples = (metric: string): boolean => /^g/.test(metric);

/** As it enters a fit. */
export const transformed = (metric: string, value: number): number =>
  isLogarithmic(metric) ? Math.log2(value) : value;

/** Larger is better. */
export const goodness = (metric: string, value: number): number =>
  isLowerBetter(metric) ? -transformed(metric, value) : transformed(metric, value);

/** A point's score by the paper's name: `rFID` also finds `rFID-768`, which is then what it is called. */
export function scoreOf(point: Point, metric: string): { name: string; value: number } | undefined {
  const names = Object.keys(point.metrics);
  const name = names.find((own) => own === metric) ?? names.find((own) => isVariant(own, metric));
  const value = name === undefined ? undefined : point.metrics[name];
  if (name === undefined || value === undefined || !Number.isFinite(value)) return undefined;
  return isLogarithmic(metric) && value <= 0 ? undefined : { name, value };
}

const isVariant = (own: string, metric: string) =>
  own.startsWith(`${metric}-`) && /^\d+$/.test(own.slice(metric.length + 1));

/** One place of a figure: the scores of a metric at the same values, over repeated seeds. */
export interface Sample {
  readonly values: Values;
  readonly latentSize: number | undefined;
  readonly params: Point["params"];
  /** What the metric is called there: rFID-768. */
  readonly name: string;
  readonly value: number;
  /** Half-width of the 95 % confidence interval; NaN for one seed. */
  readonly interval: number;
  readonly point: Point;
}

/** The samples of a metric among points, those that `where` allows; seeds of the same values are one. */
export function samplesOf(points: readonly Point[], metric: string, where: Values = {}): Sample[] {
  const kind = isOfSamples(metric) ? "generation" : "reconstruction";
  const groups = new Map<string, Point[]>();
  for (const point of points) {
    // A value that a point does not have decides nothing: the paper's points have no seed and one guidance.
    const isAllowed = Object.entries(where).every(
      ([name, value]) => (point.values[name] ?? value) === value,
    );
    if (point.kind !== kind || !isAllowed || !scoreOf(point, metric)) continue;
    const key = JSON.stringify(point.values);
    groups.set(key, [...(groups.get(key) ?? []), point]);
  }
  return [...groups.values()].map((same) => {
    const [first] = same as [Point, ...Point[]];
    const { mean, interval } = meanWithInterval(same.map((point) => scoreOf(point, metric)!.value));
    const { values, latentSize, params } = first;
    const { name } = scoreOf(first, metric)!;
    return { values, latentSize, params, name, value: mean, interval, point: first };
  });
}
