// `vitok serve MODEL... --port N`: models behind an HTTP port, until Ctrl-C or SIGTERM.

import { resolve } from "node:path";
import { ConfigError } from "../config-error.js";
import { type ServiceOptions, startService } from "../serve/server.js";
import { pickDevice } from "../torch/index.js";
import {
  findModel,
  localModel,
  modelName,
  modelsOrStarter,
  type PlacementOptions,
} from "./model.js";
import { openOutput } from "./output.js";

interface ServeOptions extends PlacementOptions {
  readonly port: number;
  readonly host: string;
  readonly batchSize?: number;
  readonly batchWait?: number;
  readonly maxPixels?: number;
  readonly maxFrames?: number;
  readonly maxClip?: number;
  readonly maxBody?: number;
  readonly queue?: number;
  readonly json?: boolean;
}

export async function run([named]: readonly [string[]?], options: ServeOptions): Promise<number> {
  const output = openOutput(options);
  const targets = modelsOrStarter(named);
  if (!targets.length)
    throw new ConfigError(
      "Expected a MODEL, received none, and there is no models/starter. Train one: npm run demo, then vitok serve runs/demo.",
    );
  const models = await Promise.all(targets.map(placeOf));
  const names = models.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice)
    throw new ConfigError(
      `Expected a name for each model, received ${twice} twice. Name them: other=${twice}`,
    );
  const service = await startService({
    ...{ models, port: options.port, host: options.host, token: process.env.VITOK_TOKEN },
    device: pickDevice(options.device ?? "auto"),
    precision: options.precision ?? "float32",
    limits: limitsOf(options),
  });
  output.print(`${names.join(", ")} at ${service.url}: /openapi.json, /health, /metrics`);
  output.result({ url: service.url, models: names });
  const signal = await new Promise<string>((done) => {
    for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => done(name));
  });
  output.log(`${signal}: no more requests; those under way end.`);
  await service.close();
  return 0;
}

/** NAME=FOLDER, or a folder, which is called by its own name; a run's `model` by the run's. */
async function placeOf(target: string): Promise<ServiceOptions["models"][number]> {
  const [, name, path = target] = /^([\w.-]+)=(.+)$/.exec(target) ?? [];
  const folder = resolve(findModel(await localModel(path)));
  return { name: name ?? modelName(folder), folder };
}

function limitsOf(options: ServeOptions): NonNullable<ServiceOptions["limits"]> {
  const limits = {
    batchSize: options.batchSize,
    batchWaitMs: options.batchWait,
    pixels: options.maxPixels,
    frames: options.maxFrames,
    clipPixels: options.maxClip,
    bodyBytes: options.maxBody,
    queue: options.queue,
  };
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}
