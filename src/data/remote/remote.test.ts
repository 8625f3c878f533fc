// Sets behind addresses, from servers on this machine that imitate a web server, S3 and the hub: the same samples as from a
// folder, whatever fails on the way, and each file fetched once. Signatures are checked against an own AWS Signature 4.
import { createHash, createHmac } from "node:crypto";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type FlakyServer, startFlakyServer } from "../../../test/flaky-server.js";
import type { Batch } from "../batch.js";
import { Loader } from "../loader.js";
import { packShards } from "../shards/pack.js";
import { openShards } from "../shards/source.js";
import { openSource, type Source } from "../source.js";
import { ShardCache } from "./cache.js";
import { listHub } from "./hub.js";
import { listRemote } from "./list.js";

const root = mkdtempSync(join(tmpdir(), "vitok-remote-"));
const policy = { attempts: 8, pauseMs: 1, stallMs: 20_000 };
const drawn = "drawn:train?count=30&size=16";
let server: FlakyServer;
let shards: string;
let cache: ShardCache;
let caches = 0;

beforeAll(async () => {
  server = await startFlakyServer();
  shards = join(root, "packed");
  await packShards(await openSource(drawn), { out: shards, shardSize: 6, shuffleSeed: 1 });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server.close();
  rmSync(root, { recursive: true });
});
beforeEach(() => {
  server.files.clear();
  server.faults.length = 0;
  server.log.length = 0;
  server.handle = () => false;
  cache = new ShardCache(join(root, `cache-${caches++}`), { limitBytes: 1e9, policy });
  for (const name of readdirSync(shards))
    server.files.set(`/set/${name}`, readFileSync(join(shards, name)));
});

const fetched = () => server.log.filter((line) => /\.(tar|parquet)/.test(line)).length;
const pattern = "drawn-train-{000000..000004}.tar";

async function take(source: Source, count: number, options: object = {}): Promise<Batch[]> {
  const loader = new Loader(source, {
    ...{ batchSize: 5, size: 8, seed: 3, augment: true, shuffleBuffer: 10, cacheMiB: 0 },
    ...options,
  });
  const batches: Batch[] = [];
  while (batches.length < count) batches.push((await loader.next())!);
  loader.close();
  return batches;
}

describe("shards of a web server", () => {
  const open = async (path: string) =>
    openShards(await listRemote(`${server.url}/set/${path}`, { cache, policy }));

  it("give what the local ones give, in the same order, each fetched once for two epochs", async () => {
    const source = await open(pattern);
    expect(fetched()).toBe(0); // the index tells the lengths
    const local = await openSource(shards);
    expect(source).toMatchObject({ length: 30, classes: local.classes });
    expect(await take(source, 12)).toEqual(await take(local, 12));
    expect(fetched()).toBe(5);
  });

  it("open by their index, and without one by reading all of them", async () => {
    expect(await open("index.json")).toMatchObject({ length: 30, name: "set" });
    server.files.delete("/set/index.json");
    const source = await open(pattern);
    expect(fetched()).toBe(5);
    expect(source.length).toBe(30);
    expect(source.classes.length).toBeGreaterThan(1);
    await expect(open("drawn-train-*.tar")).rejects.toThrow("Expected braces");
    await expect(open("picture.png")).rejects.toThrow("Expected .tar or .parquet");
  });

  it("survive drops, busy servers, short bodies and wrong ranges, bit for bit", async () => {
    const whole = await take(await openSource(shards), 6);
    const source = await open(pattern);
    server.faults.push(
      "drop midway",
      503,
      "wrong range",
      "short body",
      "drop at once",
      "ignore range",
      500,
    );
    expect(await take(source, 6)).toEqual(whole);
    expect(cache.retries).toBeGreaterThanOrEqual(4);
  });

  it("are listed, not hidden, where one never comes", async () => {
    const folder = join(root, "many");
    await packShards(await openSource("drawn:train?count=120&size=8"), {
      out: folder,
      shardSize: 5,
    });
    for (const name of readdirSync(folder))
      server.files.set(`/many/${name}`, readFileSync(join(folder, name)));
    server.files.delete("/many/drawn-train-000007.tar");
    const list = await listRemote(`${server.url}/many/index.json`, { cache, policy });
    const loader = new Loader(await openShards(list), { batchSize: 20, size: 8, augment: true });
    const files: string[] = [];
    for (let step = 0; step < 6; step++) files.push(...(await loader.next())!.files);
    loader.close();
    expect(files).toHaveLength(120);
    expect(loader.unreadable).toHaveLength(5);
    expect(loader.unreadable[0]).toMatchObject({
      file: expect.stringMatching(/^drawn-train-000007.tar\/#\d$/),
      reason: expect.stringMatching(/many\/drawn-train-000007.tar: the server answered 404.$/),
    });
  });

  it("are asked for again in the next run, and fetched only where they changed", async () => {
    await take(await open(pattern), 6);
    server.log.length = 0;
    const again = new ShardCache(join(root, `cache-${caches - 1}`), { limitBytes: 1e9, policy });
    server.files.set(
      "/set/drawn-train-000002.tar",
      server.files.get("/set/drawn-train-000003.tar")!,
    );
    const list = await listRemote(`${server.url}/set/${pattern}`, { cache: again, policy });
    const source = await openShards(list);
    await take(source, 6);
    expect(fetched()).toBe(5); // four of them answered with 304
    expect(await source.file!(12)).toEqual(await source.file!(18));
  });

  it("leave the cache when it is full, all but the last, and are fetched again when needed", async () => {
    const folder = join(root, "small");
    const packed = join(root, "twenty");
    await packShards(await openSource("drawn:train?count=60&size=8"), {
      out: packed,
      shardSize: 3,
    });
    for (const name of readdirSync(packed))
      server.files.set(`/small/${name}`, readFileSync(join(packed, name)));
    const small = new ShardCache(folder, { limitBytes: 1, policy });
    const list = await listRemote(`${server.url}/small/index.json`, { cache: small, policy });
    const whole = await take(await openSource(packed), 24);
    expect(await take(await openShards(list), 24)).toEqual(whole);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tar")).length).toBeLessThan(17);
    expect(fetched()).toBeGreaterThan(20);
  });
});

const hmac = (key: string | Buffer, text: string) =>
  createHmac("sha256", key).update(text).digest();
const hex = (text: string) => createHash("sha256").update(text).digest("hex");

/** AWS Signature 4 of a request as its query or its Authorization header carries it; by the public description. */
function isSigned(request: IncomingMessage, secret: string): boolean {
  const url = new URL(request.url!, "http://x");
  const header = request.headers.authorization ?? "";
  const [, credential = "", names = "", given = ""] =
    /Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)/.exec(header) ?? [];
  const query = [...url.searchParams].filter(([name]) => name !== "X-Amz-Signature");
  const quoted = (text: string) =>
    encodeURIComponent(text).replace(
      /[!'()*]/g,
      (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  const of = (name: string) => url.searchParams.get(`X-Amz-${name}`)!;
  const scope = (header ? credential : of("Credential")).split("/").slice(1);
  const signed = header ? names : of("SignedHeaders");
  const canonical = [
    request.method,
    url.pathname,
    query
      .map(([name, value]) => `${quoted(name)}=${quoted(value)}`)
      .sort()
      .join("&"),
    ...signed.split(";").map((name) => `${name}:${String(request.headers[name]).trim()}`),
    "",
    signed,
    header ? request.headers["x-amz-content-sha256"] : "UNSIGNED-PAYLOAD",
  ].join("\n");
  const date = header ? String(request.headers["x-amz-date"]) : of("Date");
  const text = ["AWS4-HMAC-SHA256", date, scope.join("/"), hex(canonical)].join("\n");
  const key = scope.reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${secret}`);
  return hmac(key, text).toString("hex") === (header ? given : of("Signature"));
}

describe("shards in S3", () => {
  const refused: string[] = [];

  beforeEach(() => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "the secret");
    vi.stubEnv("AWS_REGION", "eu-west-3");
    vi.stubEnv("AWS_SESSION_TOKEN", "");
    vi.stubEnv("AWS_ENDPOINT_URL", server.url);
    refused.length = 0;
    server.handle = (request, response) => {
      if (!request.url!.startsWith("/bucket")) return false; // left over from a test before
      if (!isSigned(request, "the secret")) {
        refused.push(request.url!);
        response.writeHead(403).end();
        return true;
      }
      const url = new URL(request.url!, "http://x");
      if (!url.searchParams.has("list-type")) return false;
      const prefix = url.searchParams.get("prefix");
      const keys = [...server.files.keys()].map((path) => path.replace("/bucket/", ""));
      const entries = keys
        .filter((key) => key.startsWith(prefix!))
        .map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`);
      response.writeHead(200, { "Content-Type": "application/xml" });
      response.end(
        `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${entries.join("")}</ListBucketResult>`,
      );
      return true;
    };
    server.files.clear();
    for (const name of readdirSync(shards))
      server.files.set(`/bucket/a set/${name}`, readFileSync(join(shards, name)));
  });

  it.each([["a set/*.tar"], ["a set/"], [`a set/${pattern}`], ["a set/index.json"]])(
    "open by %s with signed requests, and survive drops",
    async (path) => {
      const source = await openShards(await listRemote(`s3://bucket/${path}`, { cache, policy }));
      server.faults.push("drop midway", "drop midway", 503);
      expect(await take(source, 6)).toEqual(await take(await openSource(shards), 6));
      expect(refused).toEqual([]);
    },
  );

  it("need a key, the right one, and say so", async () => {
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "another");
    const list = await listRemote(`s3://bucket/a set/${pattern}`, { cache, policy });
    await expect(openShards(list)).rejects.toThrow("the server answered 403");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "");
    await expect(listRemote("s3://bucket/x.tar", { cache, policy })).rejects.toThrow(
      "Expected AWS_ACCESS_KEY_ID",
    );
    await expect(openSource("s3://bucket")).rejects.toThrow("s3://bucket/key");
  });
});

const fixtures = fileURLToPath(new URL("../../../test/fixtures/parquet/", import.meta.url));
const commit = "0123456789abcdef0123456789abcdef01234567";

describe("a data set of the hub", () => {
  let hubCache: string;

  /** The endpoints that a client of the hub uses, for the data set me/set with these files. */
  function imitateHub(
    files: Readonly<Record<string, Uint8Array>>,
    { token }: { token?: string } = {},
  ): void {
    for (const [path, bytes] of Object.entries(files))
      server.files.set(`/datasets/me/set/resolve/${commit}/${path}`, bytes);
    server.handle = (request, response) => {
      const { pathname } = new URL(request.url!, "http://x");
      const json = (value: unknown) => {
        response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
        return true;
      };
      if (token && request.headers.authorization !== `Bearer ${token}`) {
        response.writeHead(401).end("{}");
        return true;
      }
      if (pathname === "/api/datasets/me/set/revision/main")
        return json({ _id: "1", id: "me/set", sha: commit, lastModified: "2026-01-01T00:00:00Z" });
      if (pathname !== `/api/datasets/me/set/tree/${commit}`) return false;
      return json(
        Object.entries(files).map(([path, bytes]) => ({
          ...{
            type: "file",
            path,
            size: bytes.length,
            oid: createHash("sha1").update(bytes).digest("hex"),
          },
          ...(path.endsWith(".json")
            ? {}
            : {
                lfs: {
                  oid: createHash("sha256").update(bytes).digest("hex"),
                  size: bytes.length,
                  pointerSize: 120,
                },
              }),
        })),
      );
    };
  }

  beforeEach(() => {
    hubCache = join(root, `hub-${caches++}`);
    vi.stubEnv("HF_ENDPOINT", server.url);
    vi.stubEnv("HF_HUB_CACHE", hubCache);
    vi.stubEnv("HF_TOKEN", "");
  });

  const open = async (spec: string) => openShards(await listHub(spec, { cache, policy }));
  const parquet = () =>
    Object.fromEntries(
      ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"].map((name) => [
        `data/${name}`,
        readFileSync(join(fixtures, name)),
      ]),
    );

  it("reads parquet: pictures, classes by name, lengths without fetching whole files", async () => {
    imitateHub({
      ...parquet(),
      "data/test-00000-of-00001.parquet": readFileSync(join(fixtures, "plain.parquet")),
      "README.json": Buffer.from("{}"),
    });
    const source = await open("hf://datasets/me/set");
    expect(source).toMatchObject({ name: "me--set", length: 12, classes: ["zebra", "ant", "cat"] });
    expect(
      server.log
        .filter((line) => line.includes("parquet"))
        .every((line) => line.includes("bytes=")),
    ).toBe(true);
    for (const n of [0, 6, 7, 11]) {
      const { bytes } = await source.load(n);
      expect([...bytes.subarray(0, 3)]).toEqual([n * 20, 255 - n * 20, 100]);
      expect(source.label(n)).toBe(n % 3);
    }
    expect(source.id(7)).toBe("train-00001-of-00002.parquet/000000");
  });

  it("reads tar shards, and lies in the cache as Python's library has it", async () => {
    const files = Object.fromEntries(
      readdirSync(shards).map((name) => [name, readFileSync(join(shards, name))]),
    );
    imitateHub(files);
    server.faults.push("drop midway");
    const source = await open("hf://me/set/*.tar");
    expect(await take(source, 6)).toEqual(await take(await openSource(shards), 6));
    const repo = join(hubCache, "datasets--me--set");
    expect(readFileSync(join(repo, "refs/main"), "utf8")).toBe(commit);
    const pointer = join(repo, "snapshots", commit, "drawn-train-000000.tar");
    const sha256 = createHash("sha256").update(files["drawn-train-000000.tar"]!).digest("hex");
    expect(readlinkSync(pointer)).toBe(`../../blobs/${sha256}`);
    server.log.length = 0;
    await take(await open("hf://me/set/*.tar"), 6);
    expect(fetched()).toBe(0);
  });

  it("takes lengths from _info.json where there is one", async () => {
    const files = Object.fromEntries(
      readdirSync(shards)
        .filter((name) => name.endsWith(".tar"))
        .map((name) => [name, readFileSync(join(shards, name))]),
    );
    const filenames = Object.keys(files);
    const info = { splits: { train: { filenames, shard_lengths: filenames.map(() => 6) } } };
    imitateHub({ ...files, "_info.json": Buffer.from(JSON.stringify(info)) });
    expect(await open("hf://datasets/me/set")).toMatchObject({ length: 30 });
    expect(fetched()).toBe(0);
  });

  it("refuses what arrives damaged, what is not open and what is not there, in words", async () => {
    imitateHub(parquet());
    const path = `/datasets/me/set/resolve/${commit}/data/train-00000-of-00002.parquet`;
    const source = await open("hf://datasets/me/set@main/data/*.parquet");
    server.files.set(path, Buffer.from(server.files.get(path)!).fill(1, 10, 20));
    await expect(source.load(0)).rejects.toThrow("but the hub lists");
    imitateHub(parquet(), { token: "right" });
    await expect(open("hf://datasets/me/set")).rejects.toThrow("set HF_TOKEN");
    vi.stubEnv("HF_TOKEN", "hf_right");
    imitateHub(parquet(), { token: "hf_right" });
    expect(await open("hf://datasets/me/set")).toMatchObject({ length: 12 });
    await expect(open("hf://datasets/me/set/other/*.tar")).rejects.toThrow(
      "found data/train-00000",
    );
    await expect(open("hf://nobody")).rejects.toThrow("hf://datasets/owner/name");
  });
});

describe("local parquet and gzipped shards", () => {
  beforeEach(() => vi.stubEnv("VITOK_CACHE", join(root, `machine-${caches++}`)));

  it("open like tar shards", async () => {
    const source = await openSource(join(fixtures, "train-*.parquet"));
    expect(source).toMatchObject({ length: 12, classes: ["zebra", "ant", "cat"] });
    const plain = await openSource(join(fixtures, "plain.parquet"));
    expect([plain.label(0), plain.label(1), plain.label(2)]).toEqual([2, 0, 1]);
    await expect(plain.load(1)).rejects.toThrow("plain.parquet/000001: has no picture");
    await expect(openSource(join(fixtures, "no-pictures.parquet"))).rejects.toThrow(
      'Expected a column of pictures, as "image", received text, number.',
    );
  });

  it("unpack gzip once, and say where it is damaged", async () => {
    const tar = readFileSync(join(shards, "drawn-train-000001.tar"));
    const packed = join(root, "gz-1.tar.gz");
    writeFileSync(packed, gzipSync(tar));
    const [source, plain] = [
      await openSource(packed),
      await openSource(join(shards, "drawn-train-000001.tar")),
    ];
    expect(source.length).toBe(6);
    expect(await source.file!(4)).toEqual(await plain.file!(4));
    const cut = join(root, "gz-2.tgz");
    writeFileSync(cut, gzipSync(tar).subarray(0, 900));
    await expect(openSource(cut)).rejects.toThrow("gz-2.tgz: cannot be unpacked");
  });
});
