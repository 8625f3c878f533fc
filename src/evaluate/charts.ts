// Curves as inline SVG for the report: observable plot drawn into a document that is no browser.
// Colours are CSS variables of the page, so one drawing serves light and dark.

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

/** Points are [x, y]; those that are not finite are left out. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [number, number | null])[];
}

export interface Chart {
  readonly title: string;
  /** Unit or meaning of the vertical axis, with what is better: "dB, higher is better". */
  readonly label?: string;
  /** For losses that fall over decades; needs values above 0. */
  readonly logarithmic?: boolean;
  readonly series: readonly Series[];
}

const palette = ["var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)"];

const thousands = (step: number) => (step >= 1000 ? `${step / 1000}k` : `${step}`);

/** An `<svg>` element as text, or "" where there are not two points to join. */
export function drawChart(chart: Chart, size = { width: 480, height: 240 }): string {
  const points = chart.series.flatMap(({ name, points }) =>
    points
      .filter(([, y]) => y !== null && Number.isFinite(y) && !(chart.logarithmic && y <= 0))
      .map(([step, value]) => ({ name, step, value: value as number })),
  );
  if (new Set(points.map(({ step }) => step)).size < 2) return "";
  const names = [...new Set(points.map(({ name }) => name))];
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const last = points.filter(({ name, step }) =>
    points.every((other) => other.name !== name || other.step <= step),
  );
  const channels = { x: "step", y: "value", stroke: "name" } as const;
  const svg = Plot.plot({
    ...size,
    document,
    marginLeft: 52,
    marginBottom: 38,
    marginRight: names.length > 1 ? 64 : 20,
    style: { background: "none", color: "currentColor", fontFamily: "inherit", fontSize: "11px" },
    x: { label: "step", ticks: 5, tickSize: 0, tickFormat: thousands },
    y: {
      label: chart.label || null,
      nice: !chart.logarithmic,
      type: chart.logarithmic ? "log" : "linear",
      ticks: chart.logarithmic ? decades(points.map(({ value }) => value)) : 4,
      tickSize: 0,
      tickFormat: chart.logarithmic ? "~g" : "~r",
      grid: true,
    },
    color: { domain: names, range: palette },
    marks: [
      Plot.line(points, { ...channels, strokeWidth: 1.75 }),
      Plot.dot(last, { ...channels, fill: "name", r: 2.5 }),
      ...(names.length > 1
        ? [
            Plot.text(last, {
              x: "step",
              y: "value",
              text: "name",
              fill: "name",
              dx: 8,
              textAnchor: "start",
            }),
          ]
        : []),
    ],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", chart.title);
  return svg.outerHTML;
}

/** Round values between the least and the greatest: powers of ten, and 2 and 5 of them where those are few. */
function decades(values: readonly number[]): number[] {
  const least = Math.min(...values);
  const greatest = Math.max(...values);
  const first = Math.floor(Math.log10(least));
  const powers = Array.from(
    { length: Math.ceil(Math.log10(greatest)) - first + 1 },
    (_, i) => first + i,
  );
  const steps = powers.length > 4 ? [1] : [1, 2, 5];
  return powers
    .flatMap((power) => steps.map((step) => Number(`${step}e${power}`)))
    .filter((tick) => tick >= least && tick <= greatest);
}
