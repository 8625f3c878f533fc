// What the routes do: admit, read, batch, answer. Sockets and signals are server.ts.
import { timingSafeEqual } from "node:crypto";
import type { z } from "@hono/zod-openapi";
import { type Context, Hono } from "hono";
import { latentBytes } from "../codec/latent-file.js";
import type { Clip } from "../media/clip.js";
import type { TokenizerConfig } from "../tokenizer/config.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { scope, Tensor } from "../torch/index.js";
import { encodeFile, type Format, formatFor } from "./answer.js";
import { generateBody, openApiDocument, queries, routes } from "./api.js";
import { checked, readJson, readLatent } from "./body.js";
import { ClipReader } from "./clip-body.js";
import type { Engine } from "./engine.js";
import { answerSamples } from "./generation.js";
import { HttpError } from "./http-error.js";
import type { Limits } from "./limits.js";
import { ServiceMetrics } from "./metrics.js";
import { Sampler } from "./sampler.js";

export interface AppOptions {
  readonly limits: Limits;
  /** Asked for as `Authorization: Bearer ...` under /v1. */
  readonly token?: string | undefined;
}

export interface App {
  readonly fetch: Hono["fetch"];
  /** Requests under way. */
  readonly active: () => number;
  /** From now on new requests are refused. */
  readonly stop: () => void;
}

export function createApp(engine: Engine, { limits, token }: AppOptions): App {
  const app = new Hono();
  const metrics = new ServiceMetrics();
  const sampler = new Sampler(engine, limits, (samples) => metrics.batch(samples));
  const reader = new ClipReader(limits);
  let active = 0;
  let isStopping = false;

  app.onError((error, c) => {
    const known = error instanceof HttpError;
    if (!known) process.stderr.write(`${error.stack ?? error.message}\n`);
    const status = known ? error.status : 500;
    const message = known ? error.message : "The service failed at this request.";
    // A body that was not read to its end cannot be followed by another request.
    const headers = { ...(known && error.headers), connection: "close" };
    return c.json({ error: { status, message } }, status, headers);
  });
  app.notFound((c) => c.json({ error: { status: 404, message: "There is no such route." } }, 404));
  app.use("/v1/*", async (c, next) => {
    if (token !== undefined && !isToken(c.req.header("authorization"), token))
      throw new HttpError(401, "Expected the token, received none or another.");
    if (isStopping) throw new HttpError(503, "The service is stopping.", { "retry-after": "5" });
    if (active >= limits.queue)
      throw new HttpError(429, `Expected at most ${limits.queue} requests at once. Try again.`, {
        "retry-after": "1",
      });
    active++;
    const start = performance.now();
    try {
      await next();
    } finally {
      active--;
      const route = c.res.status === 404 ? "unknown" : c.req.path;
      metrics.request(route, c.res.status, (performance.now() - start) / 1000);
    }
  });

  const modelOf = (name: string | undefined): string => {
    const known = Object.keys(engine.models);
    const found = name === undefined ? known[0] : known.find((other) => other === name);
    if (found !== undefined) return found;
    throw new HttpError(404, `Expected a model of ${known.join(", ")}, received another.`);
  };

  app.post(routes.encode.path, async (c) => {
    const query = parse(queries.encode, c);
    const wish = { model: modelOf(query.model), signal: c.req.raw.signal };
    const { clip, fps } = await reader.read(c.req.raw, query);
    const latent = await sampler.encode(clip, wish);
    const size = { frames: clip.frames, height: clip.height, width: clip.width };
    const file = scope(() => {
      const mean = Tensor.from(latent.mean, latent.shape);
      const facts = { grid: latent.grid, size, source: "request", ...(fps && { fps }) };
      return latentBytes({ latents: [{ mean, ...facts }], model: undefined });
    });
    return c.body(file, 200, { "content-type": "application/octet-stream" });
  });

  app.post(routes.reconstruct.path, async (c) => {
    const query = parse(queries.reconstruct, c);
    const model = modelOf(query.model);
    const { clip, fps = 8 } = await reader.read(c.req.raw, query);
    formatFor(clip.frames, query.format); // before the work
    const keep = keptOf(engine.models[model]!.config, query.keep, clip);
    const recon = await sampler.reconstruct(clip, { model, keep, signal: c.req.raw.signal });
    return answer(c, recon, { format: query.format, fps });
  });

  app.post(routes.decode.path, async (c) => {
    const query = parse(queries.decode, c);
    const model = modelOf(query.model);
    const { config, trained } = engine.models[model]!;
    const { fps = trained.fps, ...latent } = await readLatent(c.req.raw, { ...limits, config });
    formatFor(latent.size.frames, query.format);
    const keep = keptOf(config, query.keep, latent.size);
    const clip = await sampler.decode(latent, { model, keep, signal: c.req.raw.signal });
    return answer(c, clip, { format: query.format, fps });
  });

  app.post(routes.generate.path, async (c) => {
    const asked = await readJson(c.req.raw, generateBody, limits);
    const known = Object.entries(engine.models);
    const [first] = known.find(([, { generator }]) => generator) ?? known[0]!;
    const model = modelOf(asked.model ?? first);
    const facts = engine.models[model]!;
    if (!facts.generator)
      throw new HttpError(404, `Expected a generator, received ${model}, which is a tokenizer.`);
    const wish = { model, signal: c.req.raw.signal };
    return c.json(await answerSamples(asked, { sampler, facts, limits, wish }));
  });

  app.get(routes.models.path, (c) =>
    c.json({
      models: Object.entries(engine.models).map(([name, { config, generator }]) => ({
        ...{ name, config, ...(generator && { generator }) },
      })),
    }),
  );
  app.get(routes.health.path, (c) =>
    isStopping ? c.json({ status: "stopping" }, 503) : c.json({ status: "ok" }),
  );
  app.get(routes.metrics.path, (c) =>
    c.text(
      metrics.text({
        vitok_requests_active: ["Requests under way.", active],
        vitok_samples_waiting: ["Samples that wait for their batch.", sampler.waiting],
        process_resident_memory_bytes: ["Memory of the process.", process.memoryUsage.rss()],
      }),
      200,
      { "content-type": "text/plain; version=0.0.4" },
    ),
  );
  app.get("/openapi.json", (c) => c.json(openApiDocument()));
  return {
    fetch: app.fetch,
    active: () => active,
    stop: () => {
      isStopping = true;
    },
  };
}

function isToken(header: string | undefined, token: string): boolean {
  const [given, wanted] = [header ?? "", `Bearer ${token}`].map((text) => Buffer.from(text));
  return given!.length === wanted!.length && timingSafeEqual(given!, wanted!);
}

const parse = <T extends z.ZodType>(schema: T, c: Context): z.output<T> =>
  checked(schema, c.req.query(), "Query");

/** The kept length that a query asks for, once the model is known to take it: a wrong one would fail its whole batch. */
function keptOf(
  config: TokenizerConfig,
  keep: number | undefined,
  { frames, height, width }: ClipSize,
): number | undefined {
  if (keep === undefined) return undefined;
  const fail = (expected: string, received: string) =>
    new HttpError(422, `Expected ${expected} for keep, received ${received}.`);
  if (!config.maskable) throw fail("a Masked ViTok", "a model without a mask token");
  const { patchSize: p, tubeletSize: q, latentTokens } = config;
  const tokens = Math.ceil(frames / q) * Math.ceil(height / p) * Math.ceil(width / p);
  const length = latentTokens || tokens;
  if (keep <= length) return keep;
  throw fail(`1 to ${length}`, String(keep));
}

async function answer(
  c: Context,
  clip: Clip,
  options: { format: Format | undefined; fps: number },
): Promise<Response> {
  const { bytes, type } = await encodeFile(clip, options);
  return c.body(bytes, 200, { "content-type": type });
}
