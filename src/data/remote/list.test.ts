// Shards behind addresses, from servers on this machine that imitate a web server and S3: the same samples as from a folder,
// whatever fails on the way, and each file fetched once. Signatures are checked against an own AWS Signature 4.
import { createHash, createHmac } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { pattern, policy, RemoteFixture, takeBatches } from "../../../test/remote-fixture.js";
import { Loader } from "../loader.js";
import { packShards } from "../shards/pack.js";
import { openShards } from "../shards/source.js";
import { openSource } from "../source.js";
import { ShardCache } from "./cache.js";
import { listRemote } from "./list.js";

const fixture = RemoteFixture.forTests();

describe("shards of a web server", () => {
  const open = async (path: string) =>
    openShards(
      await listRemote(`${fixture.server.url}/set/${path}`, { cache: fixture.cache, policy }),
    );

  it("give what the local ones give, in the same order, each fetched once for two epochs", async () => {
    const source = await open(pattern);
    expect(fixture.fetched()).toBe(0); // the index tells the lengths
    const local = await openSource(fixture.shards);
    expect(source).toMatchObject({ length: 30, classes: local.classes });
    expect(await takeBatches(source, 12)).toEqual(await takeBatches(local, 12));
    expect(fixture.fetched()).toBe(5);
  });

  it("open by their index, and without one by reading all of them", async () => {
    expect(await open("index.json")).toMatchObject({ length: 30, name: "set" });
    fixture.server.files.delete("/set/index.json");
    const source = await open(pattern);
    expect(fixture.fetched()).toBe(5);
    expect(source.length).toBe(30);
    expect(source.classes.length).toBeGreaterThan(1);
    await expect(open("drawn-train-*.tar")).rejects.toThrow("Expected braces");
    await expect(open("picture.png")).rejects.toThrow("Expected .tar or .parquet");
  });

  it("survive drops, busy servers, short bodies and wrong ranges, bit for bit", async () => {
    const whole = await takeBatches(await openSource(fixture.shards), 6);
    const source = await open(pattern);
    fixture.server.faults.push(
      "drop midway",
      503,
      "wrong range",
      "short body",
      "drop at once",
      "ignore range",
      500,
    );
    expect(await takeBatches(source, 6)).toEqual(whole);
    expect(fixture.cache.retries).toBeGreaterThanOrEqual(4);
  });

  it("are listed, not hidden, where one never comes", async () => {
    const folder = join(fixture.root, "many");
    await packShards(await openSource("drawn:train?count=120&size=8"), {
      out: folder,
      shardSize: 5,
    });
    for (const name of readdirSync(folder))
      fixture.server.files.set(`/many/${name}`, readFileSync(join(folder, name)));
    fixture.server.files.delete("/many/drawn-train-000007.tar");
    const list = await listRemote(`${fixture.server.url}/many/index.json`, {
      cache: fixture.cache,
      policy,
    });
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
    await takeBatches(await open(pattern), 6);
    fixture.server.log.length = 0;
    const again = new ShardCache(fixture.cacheFolder, { limitBytes: 1e9, policy });
    fixture.server.files.set(
      "/set/drawn-train-000002.tar",
      fixture.server.files.get("/set/drawn-train-000003.tar")!,
    );
    const list = await listRemote(`${fixture.server.url}/set/${pattern}`, { cache: again, policy });
    const source = await openShards(list);
    await takeBatches(source, 6);
    expect(fixture.fetched()).toBe(5); // four of them answered with 304
    expect(await source.files!(12)).toEqual(await source.files!(18));
  });

  it("leave nothing of a process that was killed in the cache for longer than a day", async () => {
    const [old, fresh] = ["a.tar.1.tmp", "b.tar.2.tmp"];
    mkdirSync(fixture.cacheFolder, { recursive: true });
    for (const name of [old, fresh]) writeFileSync(join(fixture.cacheFolder, name), "half");
    utimesSync(join(fixture.cacheFolder, old), 0, 0);
    await takeBatches(await open(pattern), 1);
    const names = readdirSync(fixture.cacheFolder);
    expect([names.includes(old), names.includes(fresh)]).toEqual([false, true]);
  });

  it("leave the cache when it is full, all but the last, and are fetched again when needed", async () => {
    const folder = join(fixture.root, "small");
    const packed = join(fixture.root, "twenty");
    await packShards(await openSource("drawn:train?count=60&size=8"), {
      out: packed,
      shardSize: 3,
    });
    for (const name of readdirSync(packed))
      fixture.server.files.set(`/small/${name}`, readFileSync(join(packed, name)));
    const small = new ShardCache(folder, { limitBytes: 1, policy });
    const list = await listRemote(`${fixture.server.url}/small/index.json`, {
      cache: small,
      policy,
    });
    const whole = await takeBatches(await openSource(packed), 24);
    expect(await takeBatches(await openShards(list), 24)).toEqual(whole);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tar")).length).toBeLessThan(17);
    expect(fixture.fetched()).toBeGreaterThan(20);
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
    vi.stubEnv("AWS_ENDPOINT_URL", fixture.server.url);
    refused.length = 0;
    fixture.server.handle = (request, response) => {
      if (!request.url!.startsWith("/bucket")) return false; // left over from a test before
      if (!isSigned(request, "the secret")) {
        refused.push(request.url!);
        response.writeHead(403).end();
        return true;
      }
      const url = new URL(request.url!, "http://x");
      if (!url.searchParams.has("list-type")) return false;
      const prefix = url.searchParams.get("prefix");
      const keys = [...fixture.server.files.keys()].map((path) => path.replace("/bucket/", ""));
      const entries = keys
        .filter((key) => key.startsWith(prefix!))
        .map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`);
      response.writeHead(200, { "Content-Type": "application/xml" });
      response.end(
        `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${entries.join("")}</ListBucketResult>`,
      );
      return true;
    };
    fixture.server.files.clear();
    for (const name of readdirSync(fixture.shards))
      fixture.server.files.set(`/bucket/a set/${name}`, readFileSync(join(fixture.shards, name)));
  });

  it.each([["a set/*.tar"], ["a set/"], [`a set/${pattern}`], ["a set/index.json"]])(
    "open by %s with signed requests, and survive drops",
    async (path) => {
      const source = await openShards(
        await listRemote(`s3://bucket/${path}`, { cache: fixture.cache, policy }),
      );
      fixture.server.faults.push("drop midway", "drop midway", 503);
      expect(await takeBatches(source, 6)).toEqual(
        await takeBatches(await openSource(fixture.shards), 6),
      );
      expect(refused).toEqual([]);
    },
  );

  it("need a key, the right one, and say so", async () => {
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "another");
    const list = await listRemote(`s3://bucket/a set/${pattern}`, { cache: fixture.cache, policy });
    await expect(openShards(list)).rejects.toThrow("the server answered 403");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "");
    await expect(listRemote("s3://bucket/x.tar", { cache: fixture.cache, policy })).rejects.toThrow(
      "Expected AWS_ACCESS_KEY_ID",
    );
    await expect(openSource("s3://bucket")).rejects.toThrow("s3://bucket/key");
  });
});
