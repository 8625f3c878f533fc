// A web server for tests that serves files of memory with ranges, and misbehaves as it is told to: drops connections, answers
// 500, sends short bodies and wrong ranges. Not part of the product: only tests import it.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to a request instead of a right answer. */
export type Fault =
  | "drop at once"
  | "drop midway"
  | "short body"
  | "stall"
  | "wrong range"
  | "ignore range"
  | 500
  | 503
  | 404
  | 416;

export interface FlakyServer {
  readonly url: string;
  /** Files by path, `/a.tar`; may be changed at any time. */
  readonly files: Map<string, Uint8Array>;
  /** Taken one by one, a request each; afterwards all is well. */
  readonly faults: Fault[];
  /** "GET /a.tar bytes=100-" of every request so far. */
  readonly log: string[];
  /** Answers what is no file; true where it did. */
  handle: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Drops every connection there is. */
  drop(): void;
  close(): Promise<void>;
}

export async function startFlakyServer(): Promise<FlakyServer> {
  const files = new Map<string, Uint8Array>();
  const faults: Fault[] = [];
  const log: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
    log.push(`${request.method} ${path} ${request.headers.range ?? ""}`.trim());
    if (flaky.handle(request, response)) return;
    const file = files.get(path);
    if (!file) response.writeHead(404).end("no such file");
    else serve(file, faults.shift(), request, response);
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const flaky: FlakyServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ files, faults, log },
    handle: () => false,
    drop: () => server.closeAllConnections(),
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
  return flaky;
}

function serve(
  file: Uint8Array,
  fault: Fault | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (typeof fault === "number") return void response.writeHead(fault).end();
  if (fault === "drop at once") return void request.socket.destroy();
  const etag = `"${createHash("sha256").update(file).digest("hex").slice(0, 16)}"`;
  if (request.headers["if-none-match"] === etag) return void response.writeHead(304).end();
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const isCurrent = (request.headers["if-range"] ?? etag) === etag;
  let start = 0;
  let end = file.length;
  let status = 200;
  if (from !== undefined && isCurrent && fault !== "ignore range") {
    start = Number(from) + (fault === "wrong range" ? 7 : 0);
    end = to ? Number(to) + 1 : file.length;
    status = 206;
  }
  const range =
    status === 206 ? { "Content-Range": `bytes ${start}-${end - 1}/${file.length}` } : {};
  const body = file.subarray(start, end);
  response.writeHead(status, { ETag: etag, "Content-Length": body.length, ...range });
  const half = body.subarray(0, Math.ceil(body.length / 2));
  if (fault === "drop midway" || fault === "short body")
    response.write(half, () => setTimeout(() => request.socket.destroy(), 5));
  else if (fault === "stall") response.write(half);
  else response.end(body);
}
