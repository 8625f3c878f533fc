// The service on a port: sockets with time limits, and an orderly end.
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { type App, createApp } from "./app.js";
import { Engine } from "./engine.js";
import { type Limits, limitsSchema } from "./limits.js";
import type { WorkerOptions } from "./task.js";

export interface ServiceOptions extends WorkerOptions {
  /** 0 takes any that is free. */
  readonly port: number;
  /** Default 127.0.0.1: this machine only. */
  readonly host?: string;
  readonly token?: string | undefined;
  readonly limits?: Partial<Limits>;
}

export interface Service {
  readonly url: string;
  /** Refuses new requests, lets those under way end (at most `graceMs`), then frees port and models. */
  close(options?: { graceMs?: number }): Promise<void>;
}

/** Loads the models, then listens. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const limits = limitsSchema.parse(options.limits ?? {});
  const engine = await Engine.start({
    ...{ models: options.models, device: options.device, precision: options.precision },
  });
  try {
    const app = createApp(engine, { limits, token: options.token });
    const server = await listen(app, limits, options);
    const { address, port, family } = server.address() as AddressInfo;
    const url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
    return { url, close: ({ graceMs = 30_000 } = {}) => close({ app, server, engine }, graceMs) };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function listen(app: App, limits: Limits, { port, host = "127.0.0.1" }: ServiceOptions) {
  return new Promise<Server>((resolve, reject) => {
    const server = serve(
      {
        ...{ fetch: app.fetch, port, hostname: host },
        serverOptions: { headersTimeout: 10_000, requestTimeout: limits.uploadMs + 10_000 },
      },
      () => resolve(server),
    ) as Server;
    server.once("error", reject);
    server.maxConnections = 4 * limits.queue;
    server.on("request", endWithAnswer);
  });
}

/** Once an answer is out, a body that still comes in is nobody's: the connection ends soon after. */
function endWithAnswer(request: IncomingMessage, response: NodeJS.WritableStream): void {
  response.once("finish", () => {
    if (!request.complete) setTimeout(() => request.destroy(), 250).unref();
  });
}

async function close(
  { app, server, engine }: { app: App; server: Server; engine: Engine },
  graceMs: number,
): Promise<void> {
  app.stop();
  const closed = new Promise((resolve) => void server.close(resolve));
  const deadline = performance.now() + graceMs;
  while (app.active() > 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  server.closeIdleConnections();
  setTimeout(() => server.closeAllConnections(), 500).unref(); // answers on their way out
  await closed;
  await engine.close();
}
