// A hub for tests that keeps what is pushed to it in memory and gives it back: the endpoints that its client library asks for
// making a repository, sending files, committing, and reading them again. Not part of the product: only tests import it.
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FlakyServer } from "./flaky-server.js";

export interface FakeHub {
  /** Content of each repository's files by path, once a commit holds them. */
  readonly repositories: Map<string, Map<string, Buffer>>;
  /** Titles of the commits, oldest first. */
  readonly commits: string[];
  /** What is asked of the hub without this token is answered 401. */
  token: string;
  /** Owners whose repositories the token may not write to. */
  readonly closed: Set<string>;
}

type Answer = readonly [status: number, value: unknown];

export function startFakeHub(server: FlakyServer, token: string): FakeHub {
  const hub: FakeHub = { repositories: new Map(), commits: [], token, closed: new Set() };
  const stored = new Map<string, Buffer>(); // large files by SHA-256
  server.handle = (request, response) => {
    void bodyOf(request).then((body) => {
      const [status, value] = answer(hub, stored, { server, request, body });
      send(response, status, value);
    });
    return true;
  };
  return hub;
}

interface Question {
  readonly server: FlakyServer;
  readonly request: IncomingMessage;
  readonly body: Buffer;
}

function answer(
  hub: FakeHub,
  stored: Map<string, Buffer>,
  { server, request, body }: Question,
): Answer {
  const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
  const json = () => JSON.parse(body.toString("utf8"));
  const upload = /^\/store\/(\w+)$/.exec(path);
  if (upload) {
    stored.set(createHash("sha256").update(body).digest("hex"), body); // by what came, not by what was said
    return [200, {}];
  }
  if (request.headers.authorization !== `Bearer ${hub.token}`) return [401, { error: "who?" }];
  if (path === "/api/repos/create") {
    const { organization, name } = json();
    if (hub.closed.has(organization)) return [403, { error: "no" }];
    hub.repositories.set(`${organization}/${name}`, new Map());
    return [200, { url: `${server.url}/${organization}/${name}`, id: "1" }];
  }
  const [, name = "", rest = ""] = /^(?:\/api\/models)?\/(\w+\/\w+)(.*)$/.exec(path) ?? [];
  const files = hub.repositories.get(name);
  if (!files) return [404, { error: "none" }];
  if (hub.closed.has(name.split("/")[0]!) && request.method === "POST")
    return [403, { error: "no" }];
  if (/^\/(preupload|commit)\/(?!main$)/.test(rest)) return [404, { error: "no such branch" }];
  if (rest.startsWith("/preupload"))
    return [
      200,
      {
        files: json().files.map(({ path }: { path: string }) => ({
          path,
          uploadMode: /\.(safetensors|onnx)$/.test(path) ? "lfs" : "regular",
        })),
      },
    ];
  if (rest === ".git/info/lfs/objects/batch")
    return [
      200,
      {
        transfer: "basic",
        objects: json().objects.map(({ oid, size }: { oid: string; size: number }) => ({
          oid,
          size,
          ...(stored.has(oid)
            ? {}
            : { actions: { upload: { href: `${server.url}/store/${oid}` } } }),
        })),
      },
    ];
  if (rest.startsWith("/commit"))
    return commit(hub, stored, {
      files,
      lines: body
        .toString("utf8")
        .split("\n")
        .map((line) => JSON.parse(line)),
      url: server.url,
    });
  const sha = createHash("sha1").update(hub.commits.join()).digest("hex");
  if (rest.startsWith("/revision")) return [200, { _id: "1", id: name, sha }];
  if (rest.startsWith("/tree"))
    return [
      200,
      [...files].map(([path, { length: size }]) => ({
        type: "file",
        path,
        size,
        oid: createHash("sha1").update(path).digest("hex"),
      })),
    ];
  const file = files.get(/^\/resolve\/\w+\/(.*)$/.exec(rest)?.[1] ?? "");
  return file ? [200, file] : rest ? [404, { error: "none" }] : [200, { _id: "1", id: name }];
}

interface Line {
  readonly key: "header" | "file" | "lfsFile";
  readonly value: { summary: string; path: string; content: string; oid: string };
}

function commit(
  hub: FakeHub,
  stored: Map<string, Buffer>,
  { files, lines, url }: { files: Map<string, Buffer>; lines: readonly Line[]; url: string },
): Answer {
  for (const { key, value } of lines) {
    if (key === "header") hub.commits.push(value.summary);
    else {
      const content = key === "file" ? Buffer.from(value.content, "base64") : stored.get(value.oid);
      if (!content) return [400, { error: `${value.path} was never sent` }];
      files.set(value.path, content);
    }
  }
  return [
    200,
    { success: true, commitOid: "c".repeat(40), commitUrl: `${url}/commit`, hookOutput: "" },
  ];
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const isFile = Buffer.isBuffer(value);
  const body = isFile ? value : Buffer.from(JSON.stringify(value));
  const type = isFile ? "application/octet-stream" : "application/json";
  response.writeHead(status, { "Content-Type": type, "Content-Length": body.length }).end(body);
}
