// One panel of a study's figure: ours in colour over the paper's in grey, as an SVG that needs no style sheet. Where the two are not
// of one measure (FID at another tap) or not of one size of picture, the paper's points keep axes of their own, drawn in grey.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

export interface Mark {
  /** In the units of the axes; logarithmic axes need values above 0. */
  readonly x: number;
  readonly y: number;
  readonly colour?: string;
  readonly mark?: string;
  /** Half-width of an error bar. */
  readonly interval?: number;
  readonly label?: string;
}

export interface Curve {
  readonly points: readonly (readonly [number, number])[];
  readonly colour?: string;
}

export interface Axis {
  readonly label: string;
  /** Base of a logarithmic axis; absent for a linear one. */
  readonly base?: 2 | 10;
}

export interface Layer {
  readonly marks: readonly Mark[];
  readonly curves: readonly Curve[];
}

export interface PanelData {
  readonly x: Axis;
  readonly y: Axis;
  readonly ours: Layer;
  readonly paper: Layer;
  /** The paper's own axes, where they are not ours. */
  readonly paperY?: Axis | undefined;
  readonly paperX?: Axis | undefined;
  readonly colours: readonly string[];
  readonly marks: readonly string[];
  /** A line of text in a corner. */
  readonly note: string;
}

export const panelSize = { width: 320, height: 272 };
export const grey = "#a3a09a";
/** Distinct for the colour-blind, dark enough on white. */
export const palette = [
  "#2f5d8a",
  "#c2602e",
  "#3f8060",
  "#8a4f8f",
  "#a08a1f",
  "#4f8f9a",
  "#b0436e",
  "#5f5f5f",
];
const symbols = ["circle", "square", "triangle", "diamond", "cross", "star", "wye"] as const;

const flat = (axis: Axis, value: number) => (axis.base ? Math.log2(value) : value);
const raised = (axis: Axis, value: number) => (axis.base ? 2 ** value : value);

/** From the paper's axis to ours, so that both fill the panel: straight where both are seen as they are drawn. */
interface Mapping {
  to(value: number): number;
  from(value: number): number;
}
const same: Mapping = { to: (value) => value, from: (value) => value };

function mappingOf(
  ours: Axis,
  theirs: Axis | undefined,
  own: readonly number[],
  other: readonly number[],
): Mapping {
  if (!theirs || !own.length || !other.length) return same;
  const [low, high] = range(own.map((value) => flat(ours, value)));
  const [from, until] = range(other.map((value) => flat(theirs, value)));
  const scale = (high - low) / (until - from);
  return {
    to: (value) => raised(ours, low + (flat(theirs, value) - from) * scale),
    from: (value) => raised(theirs, from + (flat(ours, value) - low) / scale),
  };
}

function range(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** An `<svg>` element as text. */
export function drawPanel(data: PanelData): string {
  const { ours, paper } = data;
  const all = (layer: Layer, axis: "x" | "y") => layer.marks.map((mark) => mark[axis]);
  const mapX = mappingOf(data.x, data.paperX, all(ours, "x"), all(paper, "x"));
  const mapY = mappingOf(data.y, data.paperY, all(ours, "y"), all(paper, "y"));
  const moved = {
    marks: paper.marks.map((mark) => ({ ...mark, x: mapX.to(mark.x), y: mapY.to(mark.y) })),
    curves: paper.curves.map((curve) => ({
      ...curve,
      points: curve.points.map(([x, y]) => [mapX.to(x), mapY.to(y)] as const),
    })),
  };
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const domain = (axis: "x" | "y") =>
    padded(
      data[axis],
      [...ours.marks, ...moved.marks].map((mark) => mark[axis]),
    );
  const svg = Plot.plot({
    ...{ ...panelSize, document },
    ...{
      marginLeft: 46,
      marginRight: data.paperY ? 44 : 14,
      marginTop: data.paperX ? 44 : 30,
      marginBottom: 40,
    },
    style: { background: "none", color: "#33312e", fontFamily: fontFamily, fontSize: "10.5px" },
    x: { ...scaleOf(data.x, domain("x")), label: null },
    y: { ...scaleOf(data.y, domain("y")), label: null },
    color: { domain: [...data.colours], range: palette },
    marks: [
      Plot.gridY({ ticks: ticksOf(data.y, domain("y")), stroke: "#e8e5df", strokeOpacity: 1 }),
      Plot.axisX(ticksOf(data.x, domain("x")), { tickFormat: formatOf(data.x), tickSize: 3 }),
      Plot.axisY(ticksOf(data.y, domain("y")), { tickFormat: formatOf(data.y), tickSize: 3 }),
      ...foreignAxes(data, { mapX, mapY, domain }),
      ...layerMarks(moved, { isPaper: true, data }),
      ...layerMarks(ours, { isPaper: false, data }),
      Plot.text([data.y.label], {
        frameAnchor: "top-left",
        dx: -44,
        dy: data.paperX ? -40 : -26,
        fontSize: 12,
        fontWeight: 600,
      }),
      Plot.text([data.x.label], { frameAnchor: "bottom", dy: 34 }),
      Plot.text([data.note], {
        frameAnchor: "top-right",
        dx: data.paperY ? 42 : 12,
        dy: data.paperX ? -40 : -26,
        fill: "#6d6a64",
      }),
    ],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  for (const style of svg.querySelectorAll("style")) style.remove(); // Plot's, for a page that shows one plot
  return svg.outerHTML;
}

export const fontFamily =
  "Inter, 'Helvetica Neue', 'Segoe UI', Roboto, 'Liberation Sans', 'DejaVu Sans', Arial, sans-serif";

type Marks = NonNullable<Plot.PlotOptions["marks"]>;

function layerMarks(
  { marks, curves }: Layer,
  { isPaper, data }: { isPaper: boolean; data: PanelData },
): Marks {
  const lines = curves.flatMap(({ points, colour }, z) =>
    points.map(([x, y]) => ({ x, y, z, colour: colour ?? "" })),
  );
  const colourOf = (colour: string | undefined) =>
    isPaper
      ? grey
      : colour === undefined
        ? "#33312e"
        : palette[data.colours.indexOf(colour) % palette.length]!;
  const dots = marks.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  const bars = isPaper ? [] : dots.filter(({ interval }) => interval && Number.isFinite(interval));
  const symbol = (mark: Mark) =>
    symbols[Math.max(0, data.marks.indexOf(mark.mark ?? "")) % symbols.length]!;
  return [
    Plot.line(lines, {
      ...{ x: "x", y: "y", z: "z", strokeWidth: 1.4, clip: true },
      stroke: (row: { colour: string }) => colourOf(row.colour || undefined),
      ...(isPaper ? { strokeDasharray: "4 3" } : { strokeOpacity: 0.75 }),
    }),
    Plot.ruleX(bars, {
      ...{
        x: "x",
        y1: (mark: Mark) => mark.y - mark.interval!,
        y2: (mark: Mark) => mark.y + mark.interval!,
      },
      stroke: (mark: Mark) => colourOf(mark.colour),
    }),
    Plot.dot(dots, {
      ...{ x: "x", y: "y", r: isPaper ? 3 : 4.2, symbol },
      stroke: isPaper ? grey : "#ffffff",
      fill: { value: (mark: Mark) => (isPaper ? "#ffffff" : colourOf(mark.colour)), scale: null },
      strokeWidth: isPaper ? 1.3 : 0.8,
    }),
    Plot.text(
      dots.filter(({ label }) => label),
      {
        ...{ x: "x", y: "y", text: "label", dx: 7, textAnchor: "start" },
        fill: isPaper ? grey : "#33312e",
        fontSize: 9.5,
      },
    ),
  ];
}

/** The paper's axes on the right and above, in grey. */
function foreignAxes(
  data: PanelData,
  {
    mapX,
    mapY,
    domain,
  }: { mapX: Mapping; mapY: Mapping; domain: (axis: "x" | "y") => [number, number] },
): Marks {
  const style = { color: grey, tickSize: 3 } as const;
  const along = (axis: Axis, mapping: Mapping, [low, high]: [number, number]) =>
    ticksOf(axis, [mapping.from(low), mapping.from(high)]).map((tick) => mapping.to(tick));
  return [
    ...(data.paperY
      ? [
          Plot.axisY(along(data.paperY, mapY, domain("y")), {
            ...{ ...style, anchor: "right" as const },
            tickFormat: (value: number) => formatOf(data.paperY!)(mapY.from(value)),
          }),
        ]
      : []),
    ...(data.paperX
      ? [
          Plot.axisX(along(data.paperX, mapX, domain("x")), {
            ...{ ...style, anchor: "top" as const },
            tickFormat: (value: number) => formatOf(data.paperX!)(mapX.from(value)),
          }),
        ]
      : []),
  ];
}

function scaleOf(axis: Axis, domain: [number, number]): Plot.ScaleOptions {
  return axis.base ? { type: "log", base: axis.base, domain } : { type: "linear", domain };
}

/** A little more than the values. */
function padded(axis: Axis, values: readonly number[]): [number, number] {
  const finite = values.filter((value) => Number.isFinite(value) && (!axis.base || value > 0));
  const [low, high] = range(finite.length ? finite.map((value) => flat(axis, value)) : [0, 1]);
  const margin = 0.07 * (high - low);
  return [raised(axis, low - margin), raised(axis, high + margin)];
}

/** At most about six round values inside a range: powers of two, or of ten with 2 and 5 where those are few, or even steps. */
export function ticksOf({ base }: Axis, [low, high]: readonly [number, number]): number[] {
  if (base === 2) {
    const first = Math.ceil(Math.log2(low) - 1e-9);
    const last = Math.floor(Math.log2(high) + 1e-9);
    const step = Math.max(1, Math.ceil((last - first) / 5));
    return Array.from(
      { length: Math.floor((last - first) / step) + 1 },
      (_, i) => 2 ** (first + i * step),
    );
  }
  if (base === 10) {
    const powers = Array.from({ length: 24 }, (_, i) => i - 12);
    const within = (steps: readonly number[]) =>
      powers
        .flatMap((power) => steps.map((step) => step * 10 ** power))
        .filter((tick) => tick >= low && tick <= high);
    const choices = [[1], [1, 3], [1, 2, 5]].map(within);
    return choices.find((ticks) => ticks.length >= 3) ?? choices[2]!;
  }
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.8) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

const raisedDigits = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function formatOf({ base }: Axis): (value: number) => string {
  if (base !== 2) return (value) => shortNumber(value);
  return (value) => {
    const power = Math.round(Math.log2(value));
    const digits = [...String(Math.abs(power))]
      .map((digit) => raisedDigits[Number(digit)])
      .join("");
    return `2${power < 0 ? "⁻" : ""}${digits}`;
  };
}

/** 0.3, 12, 25k, 85M. */
function shortNumber(value: number): string {
  const trim = (number: number) => String(Number(number.toPrecision(3)));
  if (Math.abs(value) >= 1e6) return `${trim(value / 1e6)}M`;
  if (Math.abs(value) >= 1e4) return `${trim(value / 1e3)}k`;
  return trim(value);
}
