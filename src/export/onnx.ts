// A tokenizer as two ONNX files, encoder and decoder, traced from the code that trains it: any batch, any size.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { stateDict } from "../nn/parameters.js";
import { portable } from "../portable.js";
import { type TokenizerConfig, toJson, variantName } from "../tokenizer/config.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { scope, zeros } from "../torch/index.js";
import { ropePairs } from "../tower.js";
import { version } from "../version.js";
import { Graph } from "./graph.js";
import { Lowering } from "./lowering.js";
import { opset, writeModelFile } from "./model-file.js";
import { operators } from "./operators.js";
import { type Assignment, assignmentsOf } from "./sizes.js";
import { merge, type Program, record, type Value } from "./trace.js";

export interface ExportOptions {
  /** Further keys of the model's config.json: statistics of the latents, provenance. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Bytes of weights above which a model gets a file of its own for them. Default: 1 GB. */
  readonly externalAbove?: number;
}

/**
 * Writes encoder.onnx, decoder.onnx and config.json into a folder, in the dtype of the tokenizer's weights (float32 or
 * float16; inputs and outputs are float32 in both). Returns the files' names.
 * @throws an Error where the model uses an operator the export does not know
 */
export function exportOnnx(
  tokenizer: Tokenizer,
  folder: string,
  options: ExportOptions = {},
): string[] {
  const { dtype, device } = tokenizer.encoder.norm.weight;
  if (device !== "cpu" || (dtype !== "float32" && dtype !== "float16"))
    throw new TypeError(
      `Expected float32 or float16 weights on the CPU for the export, received ${dtype} on ${device}.`,
    );
  const config = { ...portable(options.extra ?? {}), ...toJson(tokenizer.config) };
  const onnx = { precision: dtype, opset, encoder: "encoder.onnx", decoder: "decoder.onnx" };
  const metadata = {
    "vitok.version": version,
    "vitok.variant": variantName(tokenizer.config),
    "vitok.config": JSON.stringify(config),
    "vitok.precision": dtype,
  };
  const write = (name: string, graph: Graph) =>
    writeModelFile(join(folder, name), graph, { ...options, metadata });
  const written = scope(() => [
    ...write(onnx.encoder, encoderGraph(tokenizer)),
    ...write(onnx.decoder, decoderGraph(tokenizer)),
  ]);
  const path = join(folder, "config.json");
  writeFileAtomic(path, `${JSON.stringify({ ...config, onnx }, null, 2)}\n`);
  return [...written, path];
}

/** The keys of a model's config.json that are not its architecture. */
export function readExtra(modelFolder: string): Record<string, unknown> {
  const file = JSON.parse(readFileSync(join(modelFolder, "config.json"), "utf8"));
  const { variant: _, ...extra } = file as Record<string, unknown>;
  return extra;
}

/** pixels -> mean, logvar, grid. Sizes that are no multiples of the tubelet are padded in the graph. */
function encoderGraph(tokenizer: Tokenizer): Graph {
  const { config } = tokenizer;
  const { patchSize: p, tubeletSize: q, channels } = config;
  const graph = new Graph();
  const pixels = graph.input({
    ...{ name: "pixels", dtype: "float32", dims: ["batch", 3, "frames", "height", "width"] },
    summary: "RGB in [-1, 1], frames in order; a picture is one frame",
  });
  const lengths = graph.ints([q, p, p]);
  const given = graph.node("Shape", [pixels], { start: 2 });
  const above = graph.node("Add", [given, graph.ints([q - 1, p - 1, p - 1])]);
  const grid = graph.node("Div", [above, lengths]);
  const missing = graph.node("Sub", [graph.node("Mul", [grid, lengths]), given]);
  const pads = graph.node("Concat", [graph.ints(Array<number>(7).fill(0)), missing], { axis: 0 });
  const padded = graph.node("Pad", [pixels, pads], { mode: "edge" });
  graph.bind("batch", graph.node("Shape", [pixels], { start: 0, end: 1 }));
  bindGrid(graph, grid);

  const program = traced(tokenizer, ({ batch, t, h, w }) => {
    const input = zeros([batch!, 3, (t ?? 1) * q, h! * p, w! * p]);
    return record({ pixels: input }, () => {
      const { mean, logvar } = tokenizer.encode(input);
      return { mean, logvar };
    });
  });
  const results = lower(program, { graph, tokenizer, inputs: { pixels: padded } });
  const dims = ["batch", config.latentTokens || "tokens", channels];
  const summaries = {
    mean: "of the posterior: the latent that evaluation decodes",
    logvar: "log-variance of the posterior, in [-30, 20]",
  };
  for (const [name, summary] of Object.entries(summaries))
    graph.output({ name, dtype: "float32", dims, summary }, results.get(name)!);
  graph.output(
    { name: "grid", dtype: "int64", dims: [3], summary: "tokens over (time, row, column)" },
    grid,
  );
  graph.prune();
  return graph;
}

/** latent, grid (and keep) -> recon, in [-1, 1], of grid x (q, p, p); the caller crops what was padded. */
function decoderGraph(tokenizer: Tokenizer): Graph {
  const { config } = tokenizer;
  const { channels, latentTokens, maskable } = config;
  const graph = new Graph();
  const latent = graph.input({
    ...{ name: "latent", dtype: "float32", dims: ["batch", latentTokens || "tokens", channels] },
    summary: "a mean, or mean + exp(logvar / 2) x noise",
  });
  const grid = graph.input({
    ...{ name: "grid", dtype: "int64", dims: [3] },
    summary: "tokens over (time, row, column), as the encoder gives them",
  });
  const keep = maskable
    ? graph.input({
        ...{ name: "keep", dtype: "int64", dims: ["batch"] },
        summary:
          "how many leading tokens are real, 1 to all; the others are replaced by a learned one",
      })
    : undefined;
  graph.bind("batch", graph.node("Shape", [latent], { start: 0, end: 1 }));
  bindGrid(graph, grid);

  const program = traced(tokenizer, ({ batch, t = 1, h, w }) => {
    const tokens = latentTokens || t * h! * w!;
    const input = { latent: zeros([batch!, tokens, channels]), keep: zeros([batch!]) };
    return record(input, () => {
      const { decoder } = tokenizer;
      const recon = decoder.forward(
        input.latent.to({ dtype: decoder.norm.weight.dtype }),
        { t, h: h!, w: w! },
        { keep: maskable ? input.keep : undefined },
      );
      return { recon: recon.to({ dtype: "float32" }).clamp(-1, 1) };
    });
  });
  const kept = keep && graph.cast(keep, "float32");
  const results = lower(program, { graph, tokenizer, inputs: { latent, keep: kept ?? "" } });
  graph.output(
    {
      ...{ name: "recon", dtype: "float32", dims: ["batch", 3, "frames", "height", "width"] },
      summary: "RGB in [-1, 1]",
    },
    results.get("recon")!,
  );
  graph.prune();
  return graph;
}

function bindGrid(graph: Graph, grid: string): void {
  for (const [axis, name] of ["t", "h", "w"].entries())
    graph.bind(name, graph.slice(grid, 0, graph.ints([axis]), graph.ints([axis + 1])));
}

/** The program behind a recording made at several sizes. With autograd on: inference has fused operators of its own. */
function traced(
  tokenizer: Tokenizer,
  run: (sizes: Assignment) => ReturnType<typeof record>,
): Program {
  const lengths = { batch: [2, 3, 5], t: [2, 3, 4], h: [3, 5, 4], w: [4, 7, 6] };
  const { t, ...still } = lengths;
  const moving = Object.entries(knowsTime(tokenizer.config) ? lengths : still);
  const sizes = (run: number): Assignment =>
    Object.fromEntries(moving.map(([name, values]) => [name, values[run]!]));
  const assignments = assignmentsOf(sizes(0), sizes(1), sizes(2));
  const recordings = assignments.map((assignment) => {
    clearCaches(tokenizer);
    return run(assignment);
  });
  clearCaches(tokenizer);
  return merge(recordings, assignments);
}

/** A remembered table is no operator: without this a recording would miss how it is made. */
function clearCaches({ encoder, decoder }: Tokenizer): void {
  encoder.clearCache();
  decoder.clearCache();
}

/** Whether both towers can tell frames apart. */
export function knowsTime({ encoder, decoder }: TokenizerConfig): boolean {
  return [encoder, decoder].every(({ width, heads }) => ropePairs(width / heads).time > 0);
}

interface Target {
  readonly graph: Graph;
  readonly tokenizer: Tokenizer;
  /** The graph's names of the program's inputs. */
  readonly inputs: Readonly<Record<string, string>>;
}

/** Adds a program to a graph; returns the graph's names of its outputs. */
function lower(program: Program, { graph, tokenizer, inputs }: Target): Map<string, string> {
  const parameters = new Map(Object.entries(stateDict(tokenizer)).map(([name, x]) => [x, name]));
  const names = new Map<number, string>();
  for (const [name, { id }] of program.inputs) names.set(id, inputs[name]!);
  const nameOf = (value: Value): string => {
    const known = names.get(value.id);
    if (known !== undefined) return known;
    const tensor = value.constant!();
    return graph.stored(parameters.get(tensor) ?? `constant_${value.id}`, tensor);
  };
  for (const step of program.steps) {
    if (step.results.every(({ constant }) => constant)) continue;
    const operator = operators[step.operator];
    if (!operator)
      throw new Error(
        `Expected an operator that the ONNX export knows, received ${step.operator}. Add it to src/export/operators.ts.`,
      );
    const made = [operator(new Lowering(graph, step, nameOf))].flat();
    step.results.forEach(({ id }, i) => void names.set(id, made[i]!));
  }
  return new Map([...program.outputs].map(([name, value]) => [name, nameOf(value)]));
}
