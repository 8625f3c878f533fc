// A study's file (configs/studies/*.yaml): what is varied, at which scales, and what the paper claims of it. Schema and reader.
// It is data: which runs follow from it is cells.ts and plan.ts. Spec section 7.
import { readdirSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { ConfigError } from "../config-error.js";
import { metricNames, protocolNames } from "../evaluate/plan.js";
import { samplers } from "../generator/sampler.js";
import { nearest } from "../nearest.js";
import { readConfigFile } from "../train/config-file.js";

export const scaleNames = ["paper", "small", "mini"] as const;
export type ScaleName = (typeof scaleNames)[number];

const count = z.int().positive();
/** What a cell is known by: `p: 16`, `loss: L2`. */
const values = z.record(z.string(), z.union([z.string(), z.number()]));
/** A part of a training recipe; it is checked as a whole one, with its cell's values filled in: `S-B/1x{p}x{c}`. */
const part = z.record(z.string(), z.unknown());

const asText = (value: unknown) => (typeof value === "number" ? String(value) : value);

const evaluation = z.strictObject({
  data: z.string().min(1).optional(),
  metrics: z.array(z.enum(metricNames)).optional(),
  /** Files of reconstructions; samples of generators. */
  count: count.optional(),
  protocol: z.enum(protocolNames).optional(),
  /** A text or, from the command line, a number. */
  fidTap: z.preprocess(asText, z.enum(["64", "192", "768", "2048"])).optional(),
  lpipsTrunk: z.enum(["vgg", "alex", "squeeze"]).optional(),
  batchSize: count.optional(),
});
/** How reconstructions are scored. */
const reconstruction = evaluation.extend({ size: count.optional(), keep: count.optional() });
/** How samples of a generator are. */
const sampling = evaluation.extend({
  guidance: z.number().nonnegative().optional(),
  sampler: z.enum(samplers).optional(),
  steps: count.max(1000).optional(),
  batchSize: count.optional(),
});
/** A section that may be scored in several ways: each entry of `at` is the section with that changed, and named by `set` or by its values. */
const severalWays = <T extends z.ZodObject>(section: T) =>
  section.extend({ at: z.array(section.extend({ set: z.string().optional() })).optional() });

const sections = {
  /** Stage 1, as in configs/*.yaml. */
  recipe: part.optional(),
  /** What stage 2 has besides: it starts from stage 1, with its model and data. A cell has one where it or the study says so. */
  stage2: part.optional(),
  /** A generator on the latents of the last stage. As stage2, a cell has one where it or the study says so. */
  dit: part.optional(),
  evaluate: severalWays(reconstruction).optional(),
  sample: severalWays(sampling).optional(),
};

/** Of a cell, filled in and overridden. */
export const scoringSections = {
  evaluate: severalWays(reconstruction),
  sample: severalWays(sampling),
};

const cells = z.array(
  z.strictObject({
    values: values.optional(),
    /** One cell for each combination. */
    each: z.record(z.string(), z.array(z.union([z.string(), z.number()])).min(1)).optional(),
    /** Combinations that are left out. */
    without: z.array(values).optional(),
    ...sections,
  }),
);

const scale = z.strictObject({
  /** Hardware and time. */
  about: z.string(),
  cells: cells.optional(),
  /** Runs of each cell, from different seeds. */
  seeds: count.optional(),
  ...sections,
});

const metricList = z.array(z.string()).min(1);
const finding = z.discriminatedUnion("test", [
  /** Metrics are linear in log E (FID and FVD in their logarithm): R^2. */
  z.strictObject({
    test: z.literal("log-linear"),
    claim: z.string(),
    metrics: metricList,
    r2: z.number(),
    where: values.optional(),
    /** Which way the line goes: that metrics get better with E, or not. */
    improves: z.boolean().default(true),
  }),
  /** Along E there is a best place inside, for each value of `by`: a parabola's vertex. */
  z.strictObject({
    test: z.literal("optimum"),
    claim: z.string(),
    metrics: metricList,
    by: z.string(),
  }),
  /** A size helps, or does not: correlation with its logarithm. */
  z.strictObject({
    test: z.literal("correlation"),
    claim: z.string(),
    with: z.enum(["encoder", "decoder"]),
    metrics: metricList,
    helps: z.boolean(),
    where: values.optional(),
  }),
  /** The better the one, the worse the other. */
  z.strictObject({
    test: z.literal("trade-off"),
    claim: z.string(),
    metrics: z.tuple([z.string(), z.string()]),
  }),
  /** One kind of cell is better than another wherever they meet. */
  z.strictObject({
    test: z.literal("better"),
    claim: z.string(),
    metrics: metricList,
    cells: values,
    than: values,
    /** By less than this share of the other's it counts as the same. */
    margin: z.number().nonnegative().default(0.02),
  }),
]);
export type Finding = z.output<typeof finding>;

const figure = z.strictObject({
  title: z.string(),
  /** Along the horizontal axis: E, `encoder`, `decoder` or all `parameters`, a metric, or a value of the cells. */
  x: z.string().default("E"),
  metrics: metricList,
  /** The value that colours tell, and the one that marks tell. */
  colour: z.string().optional(),
  mark: z.string().optional(),
  /** One line through all points, a parabola for each colour, lines that join a colour's points, or nothing. */
  fit: z.enum(["line", "parabola", "join", "none"]).default("none"),
  where: values.optional(),
});
export type Figure = z.output<typeof figure>;

const manifest = z.strictObject({
  title: z.string(),
  /** Where it is in the paper, and the key of its numbers in studies/paper.json. */
  paper: z.strictObject({ place: z.string(), points: z.string().optional() }),
  question: z.string(),
  ...sections,
  cells: cells.optional(),
  /** Scores that stage 2 makes while it trains (its `train.evalEvery`, `evaluate`) become points, too, by their `step`. */
  history: z.boolean().default(false),
  scales: z.strictObject({ paper: scale, small: scale, mini: scale.optional() }),
  findings: z.array(finding).default([]),
  figures: z.array(figure).default([]),
  /** Columns of the table: values of the cells and metrics. */
  table: z.array(z.string()).default([]),
});

export type Manifest = z.output<typeof manifest>;
export type CellGroup = NonNullable<Manifest["cells"]>[number];
export type Values = z.output<typeof values>;

export interface Study extends Manifest {
  /** The file's name without its ending. */
  readonly name: string;
  readonly path: string;
}

export const studiesFolder = fileURLToPath(new URL("../../configs/studies", import.meta.url));

/** Names of the studies that come with the package. */
export function studyNames(): string[] {
  const order = (name: string) => name.replaceAll(/\d+/g, (digits) => digits.padStart(3, "0"));
  return readdirSync(studiesFolder)
    .filter((name) => extname(name) === ".yaml")
    .map((name) => basename(name, ".yaml"))
    .sort((a, b) => order(a).localeCompare(order(b)));
}

/**
 * Reads a study by name, `fig3`, or by the path of its file.
 * @throws ConfigError that names the nearest study, or file, line and column of what is wrong
 */
export function loadStudy(name: string): Study {
  const isFile = /\.ya?ml$/.test(name);
  if (!isFile) requireName(name);
  const path = isFile ? name : join(studiesFolder, `${name}.yaml`);
  return readConfigFile(path, {
    sets: [],
    schema: manifest,
    complete: (study) => {
      for (const [scale, level] of Object.entries(study.scales))
        if (!level?.cells && !study.cells)
          throw new ConfigError(
            `Expected cells for the study or its scale ${scale}, received none.`,
          );
      return { ...study, path, name: basename(path, extname(path)) };
    },
  });
}

function requireName(name: string): void {
  const names = studyNames();
  if (names.includes(name)) return;
  const near = nearest(name, names);
  throw new ConfigError(
    `Expected a study or its file for NAME, received "${name}". ` +
      (near ? `Did you mean "${near}"?` : `Studies: ${names.join(", ")}; or the path of a .yaml.`),
  );
}

/** Where the paper's numbers lie. */
export const paperFile = join(dirname(studiesFolder), "studies", "paper.json");
