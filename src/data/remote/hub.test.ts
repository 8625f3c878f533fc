// Data sets of the hub, from a server on this machine that has its endpoints, and parquet and gzipped files: the same samples
// as from shards, in the layout of Python's cache. Parquet fixtures are pyarrow's (scripts/make-parquet-fixtures.py).
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { policy, RemoteFixture, takeBatches } from "../../../test/remote-fixture.js";
import { openShards } from "../shards/source.js";
import { openSource } from "../source.js";
import { listHub } from "./hub.js";
import { fetchModel } from "./hub-model.js";

const fixture = RemoteFixture.forTests();

const fixtures = fileURLToPath(new URL("../../../test/fixtures/parquet/", import.meta.url));
const baselines = fileURLToPath(new URL("../../../test/fixtures/baselines/sd/", import.meta.url));
const commit = "0123456789abcdef0123456789abcdef01234567";

describe("a data set of the hub", () => {
  let hubCache: string;

  /** The endpoints that a client of the hub uses, for the data set me/set with these files. */
  function imitateHub(
    files: Readonly<Record<string, Uint8Array>>,
    { token }: { token?: string } = {},
  ): void {
    for (const [path, bytes] of Object.entries(files))
      fixture.server.files.set(`/datasets/me/set/resolve/${commit}/${path}`, bytes);
    fixture.server.handle = (request, response) => {
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
    hubCache = fixture.newFolder();
    vi.stubEnv("HF_ENDPOINT", fixture.server.url);
    vi.stubEnv("HF_HUB_CACHE", hubCache);
    vi.stubEnv("HF_TOKEN", "");
  });

  const open = async (spec: string) =>
    openShards(await listHub(spec, { cache: fixture.cache, policy }));
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
      fixture.server.log
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

  it("reads tar fixture.shards, and lies in the cache as Python's library has it", async () => {
    const files = Object.fromEntries(
      readdirSync(fixture.shards).map((name) => [name, readFileSync(join(fixture.shards, name))]),
    );
    imitateHub(files);
    fixture.server.faults.push("drop midway");
    const source = await open("hf://me/set/*.tar");
    expect(await takeBatches(source, 6)).toEqual(
      await takeBatches(await openSource(fixture.shards), 6),
    );
    const repo = join(hubCache, "datasets--me--set");
    expect(readFileSync(join(repo, "refs/main"), "utf8")).toBe(commit);
    const pointer = join(repo, "snapshots", commit, "drawn-train-000000.tar");
    const sha256 = createHash("sha256").update(files["drawn-train-000000.tar"]!).digest("hex");
    expect(readlinkSync(pointer)).toBe(`../../blobs/${sha256}`);
    fixture.server.log.length = 0;
    await takeBatches(await open("hf://me/set/*.tar"), 6);
    expect(fixture.fetched()).toBe(0);
  });

  it("takes lengths from _info.json where there is one", async () => {
    const files = Object.fromEntries(
      readdirSync(fixture.shards)
        .filter((name) => name.endsWith(".tar"))
        .map((name) => [name, readFileSync(join(fixture.shards, name))]),
    );
    const filenames = Object.keys(files);
    const info = { splits: { train: { filenames, shard_lengths: filenames.map(() => 6) } } };
    imitateHub({ ...files, "_info.json": Buffer.from(JSON.stringify(info)) });
    expect(await open("hf://datasets/me/set")).toMatchObject({ length: 30 });
    expect(fixture.fetched()).toBe(0);
  });

  it("refuses what arrives damaged, what is not open and what is not there, in words", async () => {
    imitateHub(parquet());
    const path = `/datasets/me/set/resolve/${commit}/data/train-00000-of-00002.parquet`;
    const source = await open("hf://datasets/me/set@main/data/*.parquet");
    fixture.server.files.set(path, Buffer.from(fixture.server.files.get(path)!).fill(1, 10, 20));
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

describe("a model of the hub", () => {
  const files = (folder: string) =>
    Object.fromEntries(
      ["config.json", "diffusion_pytorch_model.safetensors"].map((name) => [
        `${folder}${name}`,
        readFileSync(join(baselines, name)),
      ]),
    );
  const all: Record<string, Buffer> = {
    ...files("vae/"),
    "unet/model.safetensors": Buffer.alloc(10),
    "README.md": Buffer.from("x"),
  };

  beforeEach(() => {
    vi.stubEnv("HF_ENDPOINT", fixture.server.url);
    vi.stubEnv("HF_HUB_CACHE", fixture.newFolder());
    for (const [path, bytes] of Object.entries(all))
      fixture.server.files.set(`/me/model/resolve/${commit}/${path}`, bytes);
    fixture.server.handle = (request, response) => {
      const { pathname } = new URL(request.url!, "http://x");
      const listing = Object.entries(all).map(([path, { length: size }]) => ({
        type: "file",
        path,
        size,
        oid: path,
      }));
      const answers: Record<string, unknown> = {
        "/api/models/me/model/revision/v%2F1": { _id: "1", id: "me/model", sha: commit },
        [`/api/models/me/model/tree/${commit}`]: listing.map((file) => ({
          ...file,
          oid: file.path.length.toString(16),
        })),
      };
      if (!(pathname in answers)) return false;
      response.writeHead(200).end(JSON.stringify(answers[pathname]));
      return true;
    };
  });

  it("is a folder here with the files that make it, of a pipeline those of its vae", async () => {
    const folder = await fetchModel("hf://me/model@v%2F1", policy);
    expect(folder).toMatch(/models--me--model\/snapshots\/\w+\/vae$/);
    expect(readdirSync(folder).sort()).toEqual([
      "config.json",
      "diffusion_pytorch_model.safetensors",
    ]);
    expect(readFileSync(join(folder, "config.json"))).toEqual(all["vae/config.json"]);
    expect(fixture.server.log.some((line) => line.includes("unet"))).toBe(false);
    const unet = await fetchModel("hf://me/model@v%2F1/unet/", policy);
    expect(readdirSync(unet)).toEqual(["model.safetensors"]);
    await expect(fetchModel("hf://me/model@v%2F1/none", policy)).rejects.toThrow("found README.md");
    await expect(fetchModel("hf://model", policy)).rejects.toThrow("hf://owner/name");
  });

  it("comes from the cache alone where HF_HUB_OFFLINE is set, and tells what is not there", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const fetching = () => fetchModel("hf://me/model@v%2F1", policy);
    await expect(fetching()).rejects.toThrow("Fetch it once without");
    vi.stubEnv("HF_HUB_OFFLINE", "");
    const folder = await fetching();
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    fixture.server.log.length = 0;
    expect(await fetching()).toBe(folder);
    expect(await fetchModel(`hf://me/model@${commit}/vae`, policy)).toBe(folder);
    await expect(fetchModel("hf://me/model@v%2F1/unet", policy)).rejects.toThrow(
      "found vae/config",
    );
    await expect(listHub("hf://datasets/me/set", { policy })).rejects.toThrow("cannot be listed");
    expect(fixture.server.log).toEqual([]);
    vi.stubEnv("HF_HUB_OFFLINE", "");
  });
});

describe("local parquet and gzipped shards", () => {
  beforeEach(() => vi.stubEnv("VITOK_CACHE", fixture.newFolder()));

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
    const tar = readFileSync(join(fixture.shards, "drawn-train-000001.tar"));
    const packed = join(fixture.root, "gz-1.tar.gz");
    writeFileSync(packed, gzipSync(tar));
    const [source, plain] = [
      await openSource(packed),
      await openSource(join(fixture.shards, "drawn-train-000001.tar")),
    ];
    expect(source.length).toBe(6);
    expect(await source.files!(4)).toEqual(await plain.files!(4));
    const cut = join(fixture.root, "gz-2.tgz");
    writeFileSync(cut, gzipSync(tar).subarray(0, 900));
    await expect(openSource(cut)).rejects.toThrow("gz-2.tgz: cannot be unpacked");
  });
});
