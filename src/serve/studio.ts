// The studio's files on a port: the web app, ONNX Runtime's WebAssembly, exported models, and what the runs say. The browser
// computes; nothing is uploaded. Every file that can be asked for is listed at the start: no request becomes a path.
import { createReadStream, readdirSync, statSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, sep } from "node:path";
import { Readable } from "node:stream";
import { serve } from "@hono/node-server";
import { Hono } from "hono";

/** A folder that `vitok export` wrote. */
export interface ExportedModel {
  readonly name: string;
  readonly folder: string;
  readonly variant: string;
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
  readonly runs: () => unknown;
}

export interface Studio {
  readonly url: string;
  close(): Promise<void>;
}

const types: Readonly<Record<string, string>> = {
  ...{ ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript" },
  ...{ ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" },
};

/** Isolated, so that WebAssembly may use threads; scripts come from here and nowhere else. */
const headers = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy":
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; " +
    "img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'",
  "x-content-type-options": "nosniff",
};

export async function startStudio(options: StudioOptions): Promise<Studio> {
  const files = listFiles(options);
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  });
  app.get("/models.json", (c) =>
    c.json(
      options.models.map(({ name, variant }) => ({
        ...{ name, variant, url: `/models/${encodeURIComponent(name)}/` },
      })),
    ),
  );
  app.get("/runs.json", (c) => c.json(options.runs() as object));
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
