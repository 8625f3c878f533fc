// The studio's files on a port: the web app, ONNX Runtime's WebAssembly, exported models, what runs and studies say and their pictures.
// The browser computes; what is asked of a service goes through here to the one that was named, nowhere else. Every file that
// can be asked for is on a list: no request becomes a path.
import { createReadStream, readdirSync, statSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, extname, join, sep } from "node:path";
import { Readable } from "node:stream";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { ServiceError, VitokClient } from "../client/index.js";
import { type TokenizerConfig, variantName } from "../tokenizer/config.js";

/** A folder that `vitok export` wrote. */
export interface ExportedModel {
  readonly name: string;
  readonly folder: string;
  readonly variant: string;
}

/** A study as the studio shows it. */
export interface StudioStudy {
  readonly name: string;
  readonly title: string;
  readonly question: string;
  /** In the paper. */
  readonly place: string;
  /** Cells that are made, of all. */
  readonly done: number;
  readonly cells: number;
  readonly verdicts: readonly {
    readonly claim: string;
    readonly verdict: string;
    readonly numbers: string;
    readonly paper?: string;
  }[];
  readonly rows: readonly Readonly<Record<string, string>>[];
  /** Files. */
  readonly figures: readonly string[];
  readonly page?: string;
}

/** A run as the studio shows it. */
export interface StudioRun {
  readonly name: string;
  /** Files with originals above reconstructions, the latest last. */
  readonly grids: readonly string[];
}

export interface StudioOptions {
  /** 0 takes any that is free. */
  readonly port: number;
  /** Default 127.0.0.1: this machine only. */
  readonly host?: string;
  /** The web app, as Vite bundled it. */
  readonly app: string;
  /** The folder of onnxruntime-web's .mjs and .wasm files. */
  readonly runtime: string;
  readonly models: readonly ExportedModel[];
  /** What the runs view shows, read anew for each request. */
  readonly runs: () => readonly StudioRun[];
  /** What the studies view shows, likewise. */
  readonly studies: () => readonly StudioStudy[];
  /** A service (`vitok serve`) whose models are offered, too, by its address; and what it asks for. */
  readonly service?: { readonly url: string; readonly token?: string | undefined } | undefined;
}

export interface Studio {
  readonly url: string;
  close(): Promise<void>;
}

const types: Readonly<Record<string, string>> = {
  ...{ ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript" },
  ...{ ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" },
  ...{ ".png": "image/png", ".svg": "image/svg+xml" },
};

/** Isolated, so that WebAssembly may use threads; scripts come from here and nowhere else. */
const headers = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy":
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; " +
    "img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'",
  "x-content-type-options": "nosniff",
};

export async function startStudio(options: StudioOptions): Promise<Studio> {
  const files = listFiles(options);
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  });
  app.get("/models.json", async (c) => {
    const own = options.models.map(({ name, variant }) => ({
      ...{ name, variant, place: "browser", url: `/models/${encodeURIComponent(name)}/` },
    }));
    const { models = [], ...rest } = options.service ? await askService(options.service) : {};
    return c.json({ models: [...own, ...models], ...rest });
  });
  app.get("/runs.json", (c) => {
    const runs = options.runs().map(({ grids, ...run }, i) => {
      const latest = grids.at(-1);
      return { ...run, ...(latest && { grid: `/grids/${i}?${basename(latest)}` }) };
    });
    return c.json(runs);
  });
  app.get("/grids/:run{\\d+}", (c) => {
    const grid = options.runs()[Number(c.req.param("run"))]?.grids.at(-1);
    return grid ? fileResponse(grid, c.req.header("if-none-match")) : c.notFound();
  });
  app.get("/studies.json", (c) => {
    const studies = options.studies().map(({ figures, page, ...study }, i) => ({
      ...{ ...study, figures: figures.map((_, k) => `/studies/${i}/${k}.svg`) },
      ...(page && { page: `/studies/${i}/page.html` }),
    }));
    return c.json(studies);
  });
  app.get("/studies/:study{\\d+}/:file", (c) => {
    const { study, file } = c.req.param();
    const { figures = [], page } = options.studies()[Number(study)] ?? {};
    const path = file === "page.html" ? page : figures[Number.parseInt(file, 10)];
    return path ? fileResponse(path, c.req.header("if-none-match")) : c.notFound();
  });
  app.all("/v1/*", (c) => {
    const { service } = options;
    return service ? forward(service, c.req.raw) : c.notFound();
  });
  app.get("*", (c) => {
    const path = files.get(c.req.path === "/" ? "/index.html" : c.req.path);
    return path ? fileResponse(path, c.req.header("if-none-match")) : c.notFound();
  });
  const server = await new Promise<Server>((resolve, reject) => {
    const { port, host: hostname = "127.0.0.1" } = options;
    const started = serve({ fetch: app.fetch, port, hostname }, () => resolve(started)) as Server;
    started.once("error", reject);
  });
  const { address, port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://${address}:${port}`, close };
}

type ServicePlace = NonNullable<StudioOptions["service"]>;

const authorization = ({ token }: ServicePlace): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

/** What a service offers, or why it does not. */
async function askService(service: ServicePlace): Promise<{ models?: object[]; trouble?: string }> {
  const client = new VitokClient(service.url, { token: service.token });
  try {
    const models = (await client.models()).map(({ name, config, generator }) => {
      const { maskable, tubeletSize } = config as unknown as TokenizerConfig;
      const variant = variantName(config as unknown as TokenizerConfig);
      return { ...{ name, variant, place: "server", maskable, tubeletSize }, generator };
    });
    return { models };
  } catch (error) {
    const reason = error instanceof ServiceError ? error.message : "it does not answer";
    return { trouble: `The service at ${service.url} gives no models: ${reason}.` };
  }
}

/** A request of the studio's page to the service, with the token that the page does not know. */
async function forward(service: ServicePlace, request: Request): Promise<Response> {
  if (request.headers.get("sec-fetch-site") === "cross-site")
    return new Response(null, { status: 403 });
  const { pathname, search } = new URL(request.url);
  const type = request.headers.get("content-type");
  const answer = await fetch(new URL(pathname + search, service.url), {
    ...{ method: request.method, signal: request.signal, duplex: "half" },
    headers: { ...(type && { "content-type": type }), ...authorization(service) },
    ...(request.body && { body: request.body }),
  } as RequestInit).catch(() => undefined);
  if (answer) return new Response(answer.body, { status: answer.status, headers: kept(answer) });
  const error = { status: 503, message: `The service at ${service.url} does not answer.` };
  return Response.json({ error }, { status: 503 });
}

const kept = ({ headers }: Response): Record<string, string> =>
  Object.fromEntries(
    ["content-type", "retry-after"].flatMap((name) => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );

/** Addresses and the files behind them. */
function listFiles({ app, runtime, models }: StudioOptions): Map<string, string> {
  const files = new Map<string, string>();
  const add = (prefix: string, folder: string, names: readonly string[]) => {
    for (const name of names)
      files.set(prefix + name.split(sep).map(encodeURIComponent).join("/"), join(folder, name));
  };
  const below = readdirSync(app, { recursive: true, encoding: "utf8" });
  add(
    "/",
    app,
    below.filter((name) => extname(name)),
  );
  const isRuntime = (name: string) => /^ort-wasm[\w.-]*\.(mjs|wasm)$/.test(name);
  add("/ort/", runtime, readdirSync(runtime).filter(isRuntime));
  for (const { name, folder } of models) {
    const isModel = (file: string) => /^(config\.json|(en|de)coder\.onnx)$/.test(file);
    add(`/models/${encodeURIComponent(name)}/`, folder, readdirSync(folder).filter(isModel));
  }
  return files;
}

function fileResponse(path: string, known: string | undefined): Response {
  const { size, mtimeMs } = statSync(path);
  const etag = `"${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}"`;
  const common = { etag, "cache-control": "no-cache" };
  if (known === etag) return new Response(null, { status: 304, headers: common });
  const body = Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>;
  const type = types[extname(path)] ?? "application/octet-stream";
  return new Response(body, {
    headers: { ...common, "content-type": type, "content-length": String(size) },
  });
}
