// `vitok studio [MODEL...]`: the web app in which a picture is compared with its reconstruction, computed by the browser.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../config-error.js";
import { exportOnnx, readExtra } from "../export/onnx.js";
import { type ExportedModel, startStudio } from "../serve/studio.js";
import { fromJson, variantName } from "../tokenizer/config.js";
import type { RunRecord } from "../train/log.js";
import { findModel, loadModel, modelName, modelsOrStarter } from "./model.js";
import { type Output, openOutput } from "./output.js";
import { findRuns } from "./runs.js";
import { findStudies } from "./studio-studies.js";

interface StudioCommandOptions {
  readonly port: number;
  readonly host: string;
  readonly runs: string;
  readonly service?: string;
  readonly json?: boolean;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

export async function run(
  [named]: readonly [string[]?],
  options: StudioCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const scratch = mkdtempSync(join(tmpdir(), "vitok-studio-"));
  try {
    const runtime = findRuntime();
    const app = await findApp(output);
    const targets = modelsOrStarter(named);
    const models: ExportedModel[] = [];
    for (const [i, target] of targets.entries())
      models.push(await exported(target, join(scratch, String(i)), output));
    const runs = () => findRuns(options.runs).map(summary);
    const { port, host } = options;
    const service = serviceOf(options.service);
    const studies = () => findStudies(join(options.runs, "studies"));
    const studio = await startStudio({ port, host, app, runtime, models, runs, studies, service });
    output.print(`The studio is at ${studio.url}. Ctrl-C ends it.`);
    output.result({ url: studio.url, models: models.map(({ name }) => name) });
    await new Promise<void>((done) => {
      for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => done());
    });
    await studio.close();
    return 0;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A folder for the browser: what `vitok export` wrote as it is, and a model exported on the spot. */
async function exported(target: string, scratch: string, output: Output): Promise<ExportedModel> {
  const found = resolve(findModel(target));
  const config = JSON.parse(readFileSync(join(found, "config.json"), "utf8")) as { onnx?: object };
  const variant = variantName(fromJson(config));
  const name = modelName(found);
  if (config.onnx) return { name, variant, folder: found };
  output.log(`Exporting ${name} for the browser.`);
  const { tokenizer } = await loadModel(target, { device: "cpu" });
  exportOnnx(tokenizer, scratch, { extra: readExtra(found) });
  tokenizer.dispose();
  return { name, variant, folder: scratch };
}

/** onnxruntime-web is an optional peer: its WebAssembly is 30 MB, and not everybody wants a studio. */
function findRuntime(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  } catch (cause) {
    throw new ConfigError(
      "Expected onnxruntime-web for the studio, received none. Install it: npm install onnxruntime-web@1.30.0",
      { cause },
    );
  }
}

/** The bundled app; a clone bundles it anew, for its sources may have changed. */
async function findApp(output: Output): Promise<string> {
  const app = join(root, "dist", "studio");
  const config = join(root, "studio", "vite.config.ts");
  if (existsSync(config)) {
    output.log("Bundling the studio.");
    const { build } = await import("vite");
    await build({ configFile: config, logLevel: "warn" });
  }
  if (existsSync(join(app, "index.html"))) return app;
  throw new ConfigError(
    `Expected the studio's files in ${app}, received none. Install the package again.`,
  );
}

/** Where a service is; VITOK_TOKEN is what it asks for. @throws ConfigError for what is no address */
function serviceOf(url: string | undefined) {
  if (url === undefined) return undefined;
  if (!/^https?:\/\//.test(url) || !URL.canParse(url))
    throw new ConfigError(
      `Expected an address such as http://127.0.0.1:8080 for --service, received ${url}.`,
    );
  return { url, token: process.env.VITOK_TOKEN };
}

/** A run as the studio draws it: at most 400 points a curve. */
function summary({ folder, run: { variant }, steps, evals, state }: RunRecord) {
  const stride = Math.ceil(steps.length / 400);
  const points = steps.filter((_, i) => i % stride === 0 || i === steps.length - 1);
  const finite = (record: Readonly<Record<string, number | null>>) =>
    Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
  return {
    ...{ name: folder, variant, state, scores: finite(evals.at(-1)?.metrics ?? {}) },
    grids: gridsOf(folder),
    steps: points.map(({ step, terms }) => ({ step, terms: finite(terms) })),
  };
}

/** The pictures that training left, in the order of their steps. */
function gridsOf(folder: string): string[] {
  const grids = join(folder, "grids");
  if (!existsSync(grids)) return [];
  const names = readdirSync(grids).filter((name) => name.endsWith(".png"));
  return names.sort().map((name) => join(grids, name));
}
