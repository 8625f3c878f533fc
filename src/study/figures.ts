// A study's figures: for each a row of panels, one a metric, with a legend and a line that says what is drawn; as SVG and PNG.
// A panel is panel.ts; what is drawn is what results.json holds.
import sharp from "sharp";
import { html } from "../evaluate/report.js";
import type { Axis } from "./axis.js";
import type { StudyResults } from "./conclude.js";
import type { Figure, Study } from "./manifest.js";
import {
  isLogarithmic,
  type Sample,
  samplesOf,
  scoreOf,
  transformed,
  unitOf,
} from "./metric-facts.js";
import {
  type Curve,
  colourOf,
  drawPanel,
  fontFamily,
  glyphs,
  grey,
  type Layer,
  type Mark,
  panelSize,
} from "./panel.js";
import { fitLine, fitParabola } from "./statistics.js";

export interface DrawnFigure {
  /** Of its files: figure-1. */
  readonly name: string;
  readonly title: string;
  readonly caption: string;
  readonly svg: string;
  readonly png: Uint8Array;
}

const headHeight = 62;
const gap = 18;

export async function drawFigures(study: Study, results: StudyResults): Promise<DrawnFigure[]> {
  const drawn = study.figures.map(async (figure, i): Promise<DrawnFigure | undefined> => {
    const panels = figure.metrics.flatMap((metric) => panelOf(figure, metric, results));
    if (!panels.length) return undefined;
    const { title } = figure;
    const svg = layOut(title, panels, legendOf(figure, results));
    const png = await sharp(Buffer.from(svg), { density: 144 })
      .flatten({ background: "white" })
      .png()
      .toBuffer();
    return { name: `figure-${i + 1}`, title, caption: captionOf(figure, results), svg, png };
  });
  return (await Promise.all(drawn)).filter((figure) => figure !== undefined);
}

/** The paper's E, as it would be at our pictures' size: the same compression. */
const shrinkOf = ({ size, paper }: StudyResults): number =>
  (size.frames * size.height * size.width) /
  (paper.size.frames * paper.size.height * paper.size.width);

function captionOf({ x }: Figure, results: StudyResults): string {
  const { size, paper } = results;
  const side = ({ height, frames }: typeof size) =>
    `${height} px${frames > 1 ? `, ${frames} frames` : ""}`;
  const shrink = shrinkOf(results);
  const parts = [
    `Ours at ${side(size)} filled, the paper's at ${side(paper.size)} hollow and dashed.`,
    ...(x === "E" && paper.points.length && shrink !== 1
      ? [
          `The paper's E is multiplied by ${shrink}, so that the same compression stands at the same place.`,
        ]
      : []),
    "Grey axes are the paper's own, where its measure is not ours.",
  ];
  return parts.join(" ");
}

function panelOf(figure: Figure, metric: string, results: StudyResults): string[] {
  const ours = samplesOf(results.points, metric, figure.where);
  const paper = samplesOf(results.paper.points, metric, { set: "i1k", ...figure.where });
  const name = ours[0]?.name ?? paper[0]?.name;
  if (name === undefined) return [];
  const shrink = shrinkOf(results);
  const y: Axis = { label: name + unitOf(metric), ...(isLogarithmic(metric) ? { base: 10 } : {}) };
  const isForeign = ours.length > 0 && paper.length > 0 && paper[0]!.name !== name;
  const x = axisOf(figure.x, ours[0] ?? paper[0]!);
  const paperX = axisOf(figure.x, paper[0] ?? ours[0]!);
  const isForeignX =
    ours.length > 0 && paper.length > 0 && (figure.x === "step" || paperX.label !== x.label);
  const layers = {
    ours: layerOf(figure, metric, { samples: ours, x, shrink: 1 }),
    paper: layerOf(figure, metric, {
      samples: paper,
      x: paperX,
      shrink: figure.x === "E" ? shrink : 1,
    }),
  };
  const { colours, marks } = namesOf(figure, results);
  const panel = drawPanel({
    ...{ x, y, colours, marks, ours: layers.ours.layer, paper: layers.paper.layer },
    paperY: isForeign ? { ...y, label: paper[0]!.name } : undefined,
    paperX: isForeignX ? paperX : undefined,
    note: [
      layers.ours.note && `R² ${layers.ours.note}`,
      layers.paper.note && `paper ${layers.paper.note}`,
    ]
      .filter(Boolean)
      .join(" · "),
  });
  return panel ? [panel] : [];
}

function axisOf(x: string, sample: Sample): Axis {
  if (x === "E") return { label: "floats in the code, E", base: 2 };
  if (x === "parameters") return { label: x, base: 10 };
  if (x === "encoder" || x === "decoder") return { label: `${x}, parameters`, base: 10 };
  const score = scoreOf(sample.point, x);
  if (score) return { label: score.name + unitOf(x), ...(isLogarithmic(x) ? { base: 10 } : {}) };
  return { label: x };
}

function placeOf(x: string, sample: Sample, shrink: number): number | undefined {
  const { latentSize, params, point, values } = sample;
  if (x === "E") return latentSize && latentSize * shrink;
  if (x === "parameters") return params?.total;
  if (x === "encoder" || x === "decoder") return params?.[x];
  const value = scoreOf(point, x)?.value ?? values[x];
  return typeof value === "number" ? value : undefined;
}

interface LayerSource {
  readonly samples: readonly Sample[];
  readonly x: Axis;
  readonly shrink: number;
}

function layerOf(
  figure: Figure,
  metric: string,
  { samples, x, shrink }: LayerSource,
): { layer: Layer; note: string } {
  const marks = samples.flatMap((sample): Mark[] => {
    const place = placeOf(figure.x, sample, shrink);
    if (place === undefined) return [];
    const { colour, mark } = figure;
    const isLabelled =
      figure.x !== "E" && colour !== undefined && figure.fit !== "join" && mark === undefined;
    return [
      {
        ...{ x: place, y: sample.value, interval: sample.interval },
        ...(colour ? { colour: String(sample.values[colour] ?? "") } : {}),
        ...(mark ? { mark: String(sample.values[mark] ?? "") } : {}),
        ...(isLabelled ? { label: String(sample.values[colour] ?? "") } : {}),
      },
    ];
  });
  const { curves, note } = curvesOf(figure, metric, { marks, x });
  return { layer: { marks, curves }, note };
}

function curvesOf(
  { fit }: Figure,
  metric: string,
  { marks, x }: { marks: readonly Mark[]; x: Axis },
): { curves: Curve[]; note: string } {
  const flat = (value: number) => (x.base ? Math.log2(value) : value);
  const raised = (value: number) => (x.base ? 2 ** value : value);
  const back = (value: number) => (isLogarithmic(metric) ? 2 ** value : value);
  const sampled = (some: readonly Mark[], at: (place: number) => number) => {
    const places = some.map((mark) => flat(mark.x));
    const [low, high] = [Math.min(...places), Math.max(...places)];
    return Array.from({ length: 33 }, (_, i) => {
      const place = low + ((high - low) * i) / 32;
      return [raised(place), back(at(place))] as const;
    });
  };
  const values = (some: readonly Mark[]) =>
    [some.map((mark) => flat(mark.x)), some.map(({ y }) => transformed(metric, y))] as const;
  if (fit === "line") {
    const line = marks.length > 3 ? fitLine(...values(marks)) : undefined;
    if (!line) return { curves: [], note: "" };
    const points = sampled(marks, (place) => line.offset + line.slope * place);
    return { curves: [{ points }], note: line.r2.toFixed(2) };
  }
  if (fit === "none") return { curves: [], note: "" };
  const curves = [...new Set(marks.map(({ colour }) => colour))].flatMap((colour): Curve[] => {
    const own = marks.filter((mark) => mark.colour === colour).sort((a, b) => a.x - b.x);
    const hue = colour === undefined ? {} : { colour };
    if (fit === "join") return [{ points: own.map(({ x, y }) => [x, y] as const), ...hue }];
    const parabola = fitParabola(...values(own));
    if (!parabola) return [];
    const { a, b, c } = parabola;
    return [{ points: sampled(own, (place) => (a * place + b) * place + c), ...hue }];
  });
  return { curves, note: "" };
}

/** What colours and marks stand for, ours first. */
function namesOf({ colour, mark, where, metrics }: Figure, results: StudyResults) {
  const samples = [results.points, results.paper.points].flatMap((points) =>
    metrics.flatMap((metric) => samplesOf(points, metric, where)),
  );
  const names = (key: string | undefined) =>
    key === undefined
      ? []
      : [...new Set(samples.flatMap(({ values }) => (key in values ? [String(values[key])] : [])))];
  return { colours: names(colour), marks: names(mark) };
}

interface LegendEntry {
  readonly text: string;
  /** Of a circle; hollow for the paper's. */
  readonly colour?: string;
  readonly isHollow?: boolean;
}

/** Names of colours, then of marks; what the paper alone has is hollow. */
function legendOf(figure: Figure, results: StudyResults): LegendEntry[] {
  const { colour, mark, metrics, where } = figure;
  const ours = metrics.flatMap((metric) => samplesOf(results.points, metric, where));
  const isOurs = (key: string, name: string) =>
    ours.some(({ values }) => String(values[key]) === name);
  const named = (key: string, name: string) => (/^\d/.test(name) ? `${key} ${name}` : name);
  const names = namesOf(figure, results);
  const hasLabels = figure.x !== "E" && figure.fit !== "join" && mark === undefined;
  const colours = names.colours.flatMap((name): LegendEntry[] => {
    const isOwn = isOurs(colour!, name);
    if (!isOwn && hasLabels) return [];
    return [
      { text: named(colour!, name), colour: colourOf(names, name, !isOwn), isHollow: !isOwn },
    ];
  });
  const marks = names.marks.map((name, i) => ({
    text: `${glyphs[i % glyphs.length]} ${named(mark!, name)}`,
  }));
  const paper = results.paper.points.length
    ? [{ text: "the paper's, hollow", colour: grey, isHollow: true }]
    : [];
  return [...colours, ...marks, ...paper];
}

/** Panels beside each other below a title and the legend. */
function layOut(title: string, panels: readonly string[], legend: readonly LegendEntry[]): string {
  const height = headHeight + panelSize.height + 10;
  let left = 14;
  const keys = legend.map(({ text, colour, isHollow }) => {
    const dot = colour
      ? `<circle cx="${left + 5}" cy="44" r="4.5" fill="${isHollow ? "#ffffff" : colour}" stroke="${colour}" stroke-width="1.3"/>`
      : "";
    const start = left + (colour ? 14 : 0);
    left = start + 16 + text.length * 6.6;
    return `${dot}<text x="${start}" y="48">${html(text)}</text>`;
  });
  const row = panels.length * panelSize.width + (panels.length - 1) * gap + 24;
  const width = Math.ceil(Math.max(row, left, 28 + title.length * 8.2));
  const placed = panels.map((panel, i) =>
    panel.replace("<svg", `<svg x="${12 + i * (panelSize.width + gap)}" y="${headHeight}"`),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${fontFamily}" font-size="11.5" fill="#33312e" role="img" aria-label="${html(title)}">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="14" y="24" font-size="15" font-weight="600">${html(title)}</text>
${keys.join("\n")}
${placed.join("\n")}
</svg>
`;
}
