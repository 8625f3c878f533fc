// What the paper claims, put to our points: each claim of a study's file with its numbers and one of three verdicts. The same is
// done to the paper's own points, beside it.
import type { Finding, Values } from "./manifest.js";
import { goodness, isLowerBetter, type Sample, samplesOf, transformed } from "./metric-facts.js";
import type { Point } from "./results.js";
import { correlation, fitLine, fitParabola } from "./statistics.js";

export const verdicts = ["holds", "does not hold", "undecided"] as const;
export type Verdict = (typeof verdicts)[number];

export interface Judged {
  readonly verdict: Verdict;
  /** In words, for people. */
  readonly numbers: string;
  /** The same for programs. */
  readonly facts: readonly Readonly<Record<string, unknown>>[];
}

export interface JudgedClaim extends Judged {
  readonly claim: string;
  readonly test: Finding["test"];
  /** The same test of the paper's points; absent where it has none. */
  readonly paper?: Judged;
}

/** Where a cell is scored on several sets, claims are about this one: ImageNet-1K's validation pictures. */
const mainSet = "i1k";
/** Fewer points decide nothing. */
const fewestPoints = 4;
/** R^2 from which a size counts as helping, and below which as not. */
const clear = { helps: 0.4, doesNot: 0.3 };

export function judge(
  finding: Finding,
  ours: readonly Point[],
  paper: readonly Point[],
): JudgedClaim {
  const own = decide(
    finding,
    ours.filter(({ values }) => (values.set ?? mainSet) === mainSet),
  );
  const main = paper.filter(({ values }) => (values.set ?? mainSet) === mainSet);
  const theirs = main.length ? decide(finding, main) : undefined;
  const isComparable = theirs && theirs.facts.length > 0;
  return {
    claim: finding.claim,
    test: finding.test,
    ...own,
    ...(isComparable ? { paper: theirs } : {}),
  };
}

function decide(finding: Finding, points: readonly Point[]): Judged {
  switch (finding.test) {
    case "log-linear":
      return logLinear(finding, points);
    case "optimum":
      return optimum(finding, points);
    case "correlation":
      return sizeHelps(finding, points);
    case "trade-off":
      return tradeOff(finding, points);
    case "better":
      return better(finding, points);
  }
}

type Of<T extends Finding["test"]> = Finding & { test: T };
const fixed = (value: number) => value.toFixed(2);
const nothing = (what: string): Judged => ({ verdict: "undecided", numbers: what, facts: [] });

function logLinear(
  { metrics, r2, where, improves }: Of<"log-linear">,
  points: readonly Point[],
): Judged {
  const fits = metrics.flatMap((metric) => {
    const samples = samplesOf(points, metric, where).filter(({ latentSize }) => latentSize);
    const fit = fitLine(
      samples.map(({ latentSize }) => Math.log2(latentSize!)),
      samples.map(({ value }) => transformed(metric, value)),
    );
    if (!fit || fit.count < fewestPoints) return [];
    const isBetter = isLowerBetter(metric) ? fit.slope < 0 : fit.slope > 0;
    return [{ metric: samples[0]!.name, ...fit, isBetter, isLinear: isBetter && fit.r2 >= r2 }];
  });
  if (!fits.length) return nothing(`fewer than ${fewestPoints} points`);
  const linear = fits.filter(({ isLinear }) => isLinear).length;
  const agreed = improves ? linear === fits.length : linear === 0;
  const opposed = improves ? linear === 0 : linear === fits.length;
  return {
    verdict: agreed ? "holds" : opposed ? "does not hold" : "undecided",
    numbers: fits
      .map(
        (fit) =>
          `${fit.metric} R² ${fixed(fit.r2)}${fit.isBetter ? "" : " the wrong way"} (n ${fit.count})`,
      )
      .join(", "),
    facts: fits,
  };
}

/** For each group: is the best cell another than that of the largest E? The parabola's vertex is told beside it. */
function optimum({ metrics, by }: Of<"optimum">, points: readonly Point[]): Judged {
  const groups = metrics.flatMap((metric) => {
    const samples = samplesOf(points, metric).filter(({ latentSize }) => latentSize);
    return [...new Set(samples.map(({ values }) => values[by]))].flatMap((value) => {
      const group = samples.filter(({ values }) => values[by] === value);
      const fit = fitParabola(
        group.map(({ latentSize }) => Math.log2(latentSize!)),
        group.map((sample) => transformed(metric, sample.value)),
      );
      if (!fit) return [];
      const best = bestOf(metric, group);
      const largest = Math.max(...group.map(({ latentSize }) => latentSize!));
      return [
        {
          ...{ metric: group[0]!.name, [by]: value, bestE: best.latentSize!, largestE: largest },
          ...{ vertexE: 2 ** fit.vertex, r2: fit.r2, hasOptimum: best.latentSize! < largest },
        },
      ];
    });
  });
  if (!groups.length) return nothing("fewer than three sizes of E in every group");
  const found = groups.filter(({ hasOptimum }) => hasOptimum).length;
  return {
    verdict: found === groups.length ? "holds" : found === 0 ? "does not hold" : "undecided",
    numbers: groups
      .map(
        (group) =>
          `${group.metric} ${by} ${(group as Record<string, unknown>)[by]}: best at E ${group.bestE} of up to ${group.largestE}`,
      )
      .join(", "),
    facts: groups,
  };
}

function bestOf(metric: string, samples: readonly Sample[]): Sample {
  return samples.reduce((best, sample) =>
    goodness(metric, sample.value) > goodness(metric, best.value) ? sample : best,
  );
}

function sizeHelps(finding: Of<"correlation">, points: readonly Point[]): Judged {
  const { metrics, helps, where } = finding;
  const found = metrics.flatMap((metric) => {
    const samples = samplesOf(points, metric, where).filter(({ params }) => params?.[finding.with]);
    const r = correlation(
      samples.map(({ params }) => Math.log2(params![finding.with]!)),
      samples.map(({ value }) => goodness(metric, value)),
    );
    if (r === undefined || samples.length < fewestPoints) return [];
    return [{ metric: samples[0]!.name, r, r2: r * r, count: samples.length }];
  });
  if (!found.length) return nothing(`fewer than ${fewestPoints} points`);
  const helped = found.filter(({ r, r2 }) => r > 0 && r2 >= clear.helps).length;
  const useless = found.filter(({ r, r2 }) => r <= 0 || r2 < clear.doesNot).length;
  const [agreed, opposed] = helps ? [helped, useless] : [useless, helped];
  return {
    verdict:
      agreed === found.length ? "holds" : opposed === found.length ? "does not hold" : "undecided",
    numbers: found
      .map(
        ({ metric, r, r2, count }) =>
          `${metric} ${r > 0 ? "better" : "worse"} with size, R² ${fixed(r2)} (n ${count})`,
      )
      .join(", "),
    facts: found,
  };
}

function tradeOff({ metrics: [first, second] }: Of<"trade-off">, points: readonly Point[]): Judged {
  const both = samplesOf(points, first).flatMap((sample) => {
    const other = samplesOf([sample.point], second)[0];
    return other ? [{ sample, other }] : [];
  });
  const r = correlation(
    both.map(({ sample }) => goodness(first, sample.value)),
    both.map(({ other }) => goodness(second, other.value)),
  );
  if (r === undefined || both.length < fewestPoints)
    return nothing(`fewer than ${fewestPoints} points`);
  const best = {
    first: bestOf(
      first,
      both.map(({ sample }) => sample),
    ),
    second: bestOf(
      second,
      both.map(({ other }) => other),
    ),
  };
  const sameBest = best.first.point === best.second.point;
  return {
    verdict: r <= -0.3 && !sameBest ? "holds" : r >= 0 ? "does not hold" : "undecided",
    numbers:
      `correlation of ${best.first.name} and ${best.second.name}, each as better, ${fixed(r)} (n ${both.length}); best ` +
      `${best.first.name}: ${tell(best.first.values)}, best ${best.second.name}: ${tell(best.second.values)}`,
    facts: [{ r, count: both.length, best: [best.first.values, best.second.values] }],
  };
}

const tell = (values: Values) => Object.values(values).join(" ");

/** Both kinds at the same E, the nearest within a tenth. */
function better({ metrics, cells, than, margin }: Of<"better">, points: readonly Point[]): Judged {
  const meetings = metrics.flatMap((metric) => {
    const [mine, theirs] = [samplesOf(points, metric, cells), samplesOf(points, metric, than)].map(
      (samples, i) => samples.filter(({ values }) => has(values, i ? than : cells)),
    ) as [Sample[], Sample[]];
    return mine.flatMap((sample) => {
      const other = theirs.find(
        ({ latentSize }) =>
          Math.abs(Math.log(latentSize ?? 1) - Math.log(sample.latentSize ?? 1)) < 0.1,
      );
      if (!other) return [];
      const gain = (sample.value - other.value) / Math.abs(other.value);
      const lead = isLowerBetter(metric) ? -gain : gain;
      return [
        {
          metric: sample.name,
          E: sample.latentSize,
          value: sample.value,
          other: other.value,
          lead,
        },
      ];
    });
  });
  if (!meetings.length) return nothing("the two never meet at the same E");
  const won = meetings.filter(({ lead }) => lead > margin).length;
  const lost = meetings.filter(({ lead }) => lead < -margin).length;
  return {
    verdict: verdictOf(meetings.length, won, lost),
    numbers: meetings
      .map(
        ({ metric, E, value, other }) =>
          `${metric} at E ${E ?? "-"}: ${value.toPrecision(4)} against ${other.toPrecision(4)}`,
      )
      .join(", "),
    facts: meetings,
  };
}

/** One meeting decides nothing. */
function verdictOf(count: number, won: number, lost: number): Verdict {
  if (count < 2) return "undecided";
  if (won === count) return "holds";
  return won === 0 && lost > 0 ? "does not hold" : "undecided";
}

const has = (values: Values, wanted: Values) =>
  Object.entries(wanted).every(([name, value]) => values[name] === value);
