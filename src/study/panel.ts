// One panel of a study's figure: ours in colour over the paper's in grey, as an SVG that needs no style sheet. Where the two are not
// of one measure (FID at another tap) or not of one size of picture, the paper's points keep axes of their own, drawn in grey.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import {
  type Axis,
  axisTicks,
  type Mapping,
  mappingOf,
  padded,
  placeOn,
  same,
  type Ticks,
} from "./axis.js";

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
/** The same, mixed with white. */
export const paler = [
  "#97aec5",
  "#e1b098",
  "#9fc0b0",
  "#c5a7c7",
  "#d0c58f",
  "#a7c7cd",
  "#d8a1b7",
  "#afafaf",
];
const symbols = ["circle", "square", "triangle", "diamond", "cross", "star", "wye"] as const;
/** The same as characters, for legends. */
export const glyphs = ["●", "■", "▲", "◆", "✚", "★", "▼"];

/** Every value to its place. */
function placed({ marks, curves }: Layer, x: Axis, y: Axis): Layer {
  const isThere = (mark: { x: number; y: number }) =>
    Number.isFinite(mark.x) && Number.isFinite(mark.y);
  return {
    marks: marks
      .map((mark) => ({
        ...mark,
        ...{ x: placeOn(x, mark.x), y: placeOn(y, mark.y) },
        low: placeOn(y, Math.max(mark.y - (mark.interval ?? 0), y.base ? mark.y / 100 : -Infinity)),
        high: placeOn(y, mark.y + (mark.interval ?? 0)),
      }))
      .filter(isThere),
    curves: curves.map((curve) => ({
      ...curve,
      points: curve.points.map((point) => [placeOn(x, point[0]), placeOn(y, point[1])] as const),
    })),
  };
}

function moved({ marks, curves }: Layer, mapX: Mapping, mapY: Mapping): Layer {
  return {
    marks: marks.map((mark) => ({ ...mark, x: mapX.to(mark.x), y: mapY.to(mark.y) })),
    curves: curves.map((curve) => ({
      ...curve,
      points: curve.points.map(([x, y]) => [mapX.to(x), mapY.to(y)] as const),
    })),
  };
}

/** An `<svg>` element as text; "" where there is no point to draw. */
export function drawPanel(data: PanelData): string {
  const ours = placed(data.ours, data.x, data.y);
  const theirs = placed(data.paper, data.paperX ?? data.x, data.paperY ?? data.y);
  const all = (layer: Layer, axis: "x" | "y") => layer.marks.map((mark) => mark[axis]);
  const mapX = data.paperX ? mappingOf(all(ours, "x"), all(theirs, "x")) : same;
  const mapY = data.paperY ? mappingOf(all(ours, "y"), all(theirs, "y")) : same;
  const paper = moved(theirs, mapX, mapY);
  if (!ours.marks.length && !paper.marks.length) return "";
  const domain = {
    x: padded([...all(ours, "x"), ...all(paper, "x")]),
    y: padded([...all(ours, "y"), ...all(paper, "y")]),
  };
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const top = data.paperX ? -40 : -26;
  const ticks = axisTicks(data.y, domain.y);
  const svg = Plot.plot({
    ...{ ...panelSize, document, marginLeft: 46, marginBottom: 40 },
    ...{ marginRight: data.paperY ? 44 : 14, marginTop: data.paperX ? 44 : 30 },
    style: { background: "none", color: "#33312e", fontFamily, fontSize: "10.5px" },
    x: { type: "linear", domain: domain.x, label: null },
    y: { type: "linear", domain: domain.y, label: null },
    marks: [
      Plot.gridY(ticks.places, { stroke: "#e8e5df", strokeOpacity: 1 }),
      Plot.axisX(...axisArguments(axisTicks(data.x, domain.x), {})),
      Plot.axisY(...axisArguments(ticks, {})),
      ...(data.paperY
        ? [
            Plot.axisY(
              ...axisArguments(axisTicks(data.paperY, domain.y, mapY), {
                anchor: "right",
                color: grey,
              }),
            ),
          ]
        : []),
      ...(data.paperX
        ? [
            Plot.axisX(
              ...axisArguments(axisTicks(data.paperX, domain.x, mapX), {
                anchor: "top",
                color: grey,
              }),
            ),
          ]
        : []),
      ...layerMarks(paper, { isPaper: true, data, domain: domain.x }),
      ...layerMarks(ours, { isPaper: false, data, domain: domain.x }),
      Plot.text([data.y.label], {
        frameAnchor: "top-left",
        dx: -44,
        dy: top,
        fontSize: 12,
        fontWeight: 600,
      }),
      Plot.text([data.x.label], { frameAnchor: "bottom", dy: 34 }),
      Plot.text([data.note], {
        frameAnchor: "top-right",
        dx: data.paperY ? 42 : 12,
        dy: top,
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

/** The colour of a name; of the paper's, a paler one. */
export function colourOf(
  data: Pick<PanelData, "colours">,
  name: string | undefined,
  isPaper: boolean,
): string {
  if (name === undefined || !data.colours.includes(name)) return isPaper ? grey : "#33312e";
  return (isPaper ? paler : palette)[data.colours.indexOf(name) % palette.length]!;
}

interface LayerOptions {
  readonly isPaper: boolean;
  readonly data: PanelData;
  readonly domain: readonly [number, number];
}

function layerMarks({ marks, curves }: Layer, { isPaper, data, domain }: LayerOptions): Marks {
  const lines = curves.flatMap(({ points, colour }, z) =>
    points.map(([x, y]) => ({ x, y, z, stroke: colourOf(data, colour, isPaper) })),
  );
  const dots = marks.map((mark) => ({ ...mark, fill: colourOf(data, mark.colour, isPaper) }));
  const symbol = (mark: Mark) =>
    symbols[Math.max(0, data.marks.indexOf(mark.mark ?? "")) % symbols.length]!;
  // Names stand inside the panel: to the left of points on the right.
  const isLeft = ({ x }: Mark) => x - domain[0] > 0.6 * (domain[1] - domain[0]);
  const labels = (which: boolean) =>
    Plot.text(
      dots.filter((mark) => mark.label && isLeft(mark) === which),
      {
        ...{ x: "x", y: "y", text: "label", fontSize: 9.5, fill: isPaper ? grey : "#33312e" },
        ...(which
          ? { dx: -7, textAnchor: "end" as const }
          : { dx: 7, textAnchor: "start" as const }),
      },
    );
  return [
    Plot.line(lines, {
      ...{ x: "x", y: "y", z: "z", stroke: "stroke", strokeWidth: 1.4, clip: true },
      ...(isPaper ? { strokeDasharray: "4 3" } : { strokeOpacity: 0.75 }),
    }),
    Plot.ruleX(
      dots.filter(({ interval }) => !isPaper && interval && Number.isFinite(interval)),
      { x: "x", y1: "low", y2: "high", stroke: "fill", clip: true },
    ),
    Plot.dot(dots, {
      ...{ x: "x", y: "y", r: isPaper ? 3 : 4.2, symbol },
      stroke: isPaper ? "fill" : "#ffffff",
      fill: isPaper ? "#ffffff" : "fill",
      strokeWidth: isPaper ? 1.3 : 0.8,
    }),
    labels(false),
    labels(true),
  ];
}

/** What Plot takes for an axis with these ticks. */
function axisArguments<A extends "top" | "left" | "bottom" | "right">(
  { places, texts }: Ticks,
  style: { anchor?: A; color?: string },
) {
  const tickFormat = (_: number, i: number) => texts[i] ?? "";
  return [[...places], { ...style, tickFormat, tickSize: 3 }] as const;
}
