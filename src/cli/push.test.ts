// A model folder to a hub on this machine and back: what arrives is byte for byte what was sent, and a tokenizer is loaded from it.
// Every refusal is told with what to do.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type FakeHub, startFakeHub } from "../../test/fake-hub.js";
import { type FlakyServer, startFlakyServer } from "../../test/flaky-server.js";
import { fetchModel } from "../data/remote/hub-model.js";
import { stateDict } from "../nn/parameters.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { run } from "./push.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-push-"));
const [model, onnx] = ["model", "onnx"].map((name) => join(scratch, name)) as [string, string];
const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 3 });
let server: FlakyServer;
let hub: FakeHub;

beforeAll(async () => {
  server = await startFlakyServer();
  tokenizer.save(model, { provenance: { data: "/home/someone/photos", steps: 9 } });
  writeFileSync(join(model, "README.md"), "---\nlibrary_name: vitok\n---\n![x](grid.png)\n");
  writeFileSync(join(model, "grid.png"), Buffer.from([1, 2, 3]));
  writeFileSync(join(model, "notes.txt"), "for me alone");
  mkdirSync(onnx);
  writeFileSync(join(onnx, "encoder.onnx"), Buffer.from([4, 5]));
  writeFileSync(join(onnx, "config.json"), "{}");
});
beforeEach(() => {
  hub = startFakeHub(server, "hf_secret");
  server.log.length = 0;
  vi.stubEnv("HF_ENDPOINT", server.url);
  vi.stubEnv("HF_TOKEN", "hf_secret");
  vi.stubEnv("HF_HUB_CACHE", mkdtempSync(join(scratch, "cache-")));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  tokenizer.dispose();
  await server.close();
  rmSync(scratch, { recursive: true });
});

/** Runs the command; what it reports as JSON. */
async function push(to: string, options: object = {}) {
  const said: string[] = [];
  const mute = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    said.push(String(text));
    return true;
  });
  const muteNotes = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    await run([model, to], { ...options, json: true });
  } finally {
    mute.mockRestore();
    muteNotes.mockRestore();
  }
  return JSON.parse(said.join(""));
}

const paths = ["README.md", "config.json", "grid.png", "model.safetensors"];

test("a pushed model is the same when it is fetched, without what is not the model's or tells of this machine", async () => {
  const result = await push("hf://me/tiny", { onnx });
  const files = hub.repositories.get("me/tiny")!;
  expect([...files.keys()].sort()).toEqual(
    [...paths, "onnx/config.json", "onnx/encoder.onnx"].sort(),
  );
  for (const name of ["README.md", "grid.png", "model.safetensors"])
    expect(files.get(name)!.equals(readFileSync(join(model, name))), name).toBe(true);
  expect(JSON.parse(String(files.get("config.json"))).provenance).toEqual({
    data: "photos",
    steps: 9,
  });
  expect(result).toMatchObject({
    repository: "me/tiny",
    revision: "main",
    isNew: true,
    left: ["notes.txt"],
  });
  expect(result.files).toContainEqual({ path: "onnx/encoder.onnx", bytes: 2 });

  const loaded = await Tokenizer.load(await fetchModel("hf://me/tiny"));
  for (const [name, weight] of Object.entries(stateDict(tokenizer)))
    expect(stateDict(loaded)[name]!.toBytes(), name).toEqual(weight.toBytes());
  loaded.dispose();
});

test("a second push is a commit of its own, into a folder where one is named, and sends no weights again", async () => {
  await push("hf://me/tiny");
  const before = server.log.filter((line) => line.startsWith("PUT")).length;
  const { isNew } = await push("hf://me/tiny/small", { message: "A smaller one" });
  expect(isNew).toBe(false);
  expect(hub.commits).toEqual([`Add ${model.split("/").at(-2)}`, "A smaller one"]);
  expect(hub.repositories.get("me/tiny")!.has("small/model.safetensors")).toBe(true);
  expect(server.log.filter((line) => line.startsWith("PUT"))).toHaveLength(before);
});

test("a dry run lists files and sizes, needs no token and asks nobody", async () => {
  vi.stubEnv("HF_TOKEN", "");
  const { dryRun, files } = await push("hf://me/tiny", { dryRun: true });
  expect(dryRun).toBe(true);
  expect(files.map(({ path }: { path: string }) => path)).toEqual(paths);
  const { length } = readFileSync(join(model, "model.safetensors"));
  expect(files).toContainEqual({ path: "model.safetensors", bytes: length });
  expect(server.log).toEqual([]);
});

describe("what cannot be pushed is told:", () => {
  const refused = (to: string, options?: object) => expect(push(to, options)).rejects;

  test("no token, one that the hub refuses, one without write access", async () => {
    vi.stubEnv("HF_TOKEN", "");
    await refused("hf://me/tiny").toThrow("Set HF_TOKEN or give --token");
    await refused("hf://me/tiny", { token: "old" }).toThrow("does not begin with hf_");
    await refused("hf://me/tiny", { token: "hf_old" }).toThrow(
      /received one that it refuses.*settings\/tokens/,
    );
    hub.closed.add("them");
    await refused("hf://them/tiny", { token: "hf_secret" }).toThrow(
      "a token that may write to them/tiny",
    );
    hub.repositories.set("them/tiny", new Map());
    await refused("hf://them/tiny", { token: "hf_secret" }).toThrow(
      "a token that may write to them/tiny",
    );
    expect(hub.commits).toEqual([]);
  });

  test("a branch that is not there, a repository without a name, no answer", async () => {
    await refused("hf://me/tiny@v2").toThrow('a branch of me/tiny, received "v2"');
    await refused("me/tiny").toThrow("Expected hf://owner/name");
    vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9");
    await refused("hf://me/tiny").toThrow("Expected http://127.0.0.1:9 to answer");
  });

  test("a folder without a card, with broken weights, and --onnx without ONNX files", async () => {
    await refused("hf://me/tiny", { onnx: model }).toThrow("Expected .onnx files");
    const card = readFileSync(join(model, "README.md"));
    rmSync(join(model, "README.md"));
    await refused("hf://me/tiny").toThrow(/Expected README.md .*npx vitok card/);
    writeFileSync(join(model, "README.md"), card);
    const weights = readFileSync(join(model, "model.safetensors"));
    writeFileSync(join(model, "model.safetensors"), weights.subarray(0, 100));
    await refused("hf://me/tiny").toThrow("model.safetensors");
    writeFileSync(join(model, "model.safetensors"), weights);
    expect(server.log).toEqual([]);
  });
});
