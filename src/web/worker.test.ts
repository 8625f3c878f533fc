// The browser library's worker on ONNX Runtime's WebAssembly, in Node with a stand-in for the page: what it makes of a picture
// against libtorch, within 1 of 255 levels. The browser itself is test/studio.test.ts.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { decodeLatent } from "../codec/decode.js";
import { encodeClip } from "../codec/encode.js";
import { exportOnnx } from "../export/onnx.js";
import { createClip } from "../media/clip.js";
import { defineConfig } from "../tokenizer/config.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { scope } from "../torch/index.js";
import type { Decoded, Encoded, FromWorker, Loaded, Request } from "./messages.js";
import { pictureOf, planesOf } from "./pixels.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-web-"));
const tower = { width: 24, depth: 1, heads: 2 };
const tokenizer = Tokenizer.create(
  defineConfig({
    ...{ encoder: tower, decoder: tower, patchSize: 4, tubeletSize: 1 },
    ...{ channels: 3, latentTokens: 0, maskable: true },
  }),
  { seed: 2 },
);
const [width, height] = [22, 13]; // no multiples of the patch
const bytes = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256);
const rgba = new Uint8ClampedArray(width * height * 4).map((_, i) =>
  i % 4 === 3 ? 255 : bytes[Math.floor(i / 4) * 3 + (i % 4)]!,
);

/** The page's side: what the worker posts, and how it is asked. */
const page = new EventTarget();
const progress: number[] = [];
let last = 0;
function ask<T>(request: Request): Promise<T> {
  const id = ++last;
  return new Promise((resolve, reject) => {
    page.addEventListener("posted", function listen(event) {
      const { detail } = event as CustomEvent<FromWorker>;
      if ("progress" in detail || detail.id !== id) return;
      page.removeEventListener("posted", listen);
      if ("failure" in detail) reject(new Error(detail.failure));
      else resolve(detail.answer as T);
    });
    worker.dispatchEvent(new MessageEvent("message", { data: { id, request } }));
  });
}
const worker = Object.assign(new EventTarget(), {
  crossOriginIsolated: false,
  postMessage(message: FromWorker) {
    if ("progress" in message) progress.push(message.progress.received);
    page.dispatchEvent(new CustomEvent("posted", { detail: message }));
  },
});

beforeAll(async () => {
  exportOnnx(tokenizer, scratch);
  vi.stubGlobal("self", worker);
  vi.stubGlobal("navigator", { hardwareConcurrency: 2 });
  vi.stubGlobal("fetch", async (url: string) => new Response(readFileSync(fileURLToPath(url))));
  // Node's bundle of the runtime: its WebGPU one is for browsers only.
  vi.doMock("onnxruntime-web/webgpu", () => import("onnxruntime-web"));
  await import("./worker.js");
});
afterAll(() => {
  vi.unstubAllGlobals();
  tokenizer.dispose();
  rmSync(scratch, { recursive: true });
});

test("a picture comes back as libtorch's, whole or from few tokens", async () => {
  const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  const { backend, config } = await ask<Loaded>({
    ...{ kind: "load", backend: "auto", url: `${pathToFileURL(scratch)}/` },
    runtimeUrl: `${pathToFileURL(runtime)}/`,
  });
  expect(backend).toEqual({ name: "wasm", threads: 1 });
  expect(config.maskable).toBe(true);
  expect(Math.max(...progress)).toBeGreaterThan(10_000);

  const pixels = planesOf([{ data: rgba, width, height }]);
  const { mean, tokens, grid } = await ask<Encoded>({
    kind: "encode",
    pixels,
    frames: 1,
    width,
    height,
  });
  expect([tokens, ...grid]).toEqual([24, 1, 4, 6]);
  const clip = createClip(bytes, { height, width });
  for (const keep of [undefined, 5]) {
    const answer = await ask<Decoded>({ kind: "decode", mean, grid, keep });
    const size = { frames: 1, frame: 0, rows: answer.height, columns: answer.width };
    const { data } = pictureOf(answer.recon, size, { width, height });
    const expected = scope(() =>
      decodeLatent(tokenizer, { ...encodeClip(tokenizer, clip), source: "test" }, { keep }),
    );
    const worst = expected.bytes.reduce((most, byte, i) => {
      const at = Math.floor(i / 3) * 4 + (i % 3);
      return Math.max(most, Math.abs(byte - data[at]!));
    }, 0);
    expect(worst).toBeLessThanOrEqual(1);
  }
});

test("a clip comes back as libtorch's, frame by frame", async () => {
  const frames = 3;
  const length = bytes.length;
  const film = Uint8Array.from({ length: frames * length }, (_, i) => (i * 37 + (i % 5) * i) % 256);
  const pictures = Array.from({ length: frames }, (_, t) => {
    const data = new Uint8ClampedArray(width * height * 4).map((_, i) =>
      i % 4 === 3 ? 255 : film[t * length + Math.floor(i / 4) * 3 + (i % 4)]!,
    );
    return { data, width, height };
  });
  const pixels = planesOf(pictures);
  const code = await ask<Encoded>({ kind: "encode", pixels, frames, width, height });
  expect(code.grid).toEqual([3, 4, 6]);
  const answer = await ask<Decoded>({ kind: "decode", ...code, keep: undefined });
  const clip = createClip(film, { frames, height, width });
  const expected = scope(() =>
    decodeLatent(tokenizer, { ...encodeClip(tokenizer, clip), source: "test" }),
  );
  const shape = { frames: answer.frames, rows: answer.height, columns: answer.width };
  for (let frame = 0; frame < frames; frame++) {
    const { data } = pictureOf(answer.recon, { ...shape, frame }, { width, height });
    const worst = expected.bytes
      .subarray(frame * length, (frame + 1) * length)
      .reduce((most, byte, i) => {
        const at = Math.floor(i / 3) * 4 + (i % 3);
        return Math.max(most, Math.abs(byte - data[at]!));
      }, 0);
    expect(worst, `frame ${frame}`).toBeLessThanOrEqual(1);
  }
});

test("a folder that is not there is an error, and the worker goes on", async () => {
  vi.stubGlobal("fetch", async () => new Response(null, { status: 404 }));
  const missing = ask({ kind: "load", backend: "auto", url: "http://none/", runtimeUrl: "/" });
  await expect(missing).rejects.toThrow("received status 404");
});

test("transparency lies on white, and rounding is to the nearest", () => {
  const planes = planesOf([{ data: new Uint8ClampedArray([10, 20, 30, 0]), width: 1, height: 1 }]);
  expect([...planes]).toEqual([1, 1, 1]);
  const half = new Float32Array([-2, 0, 2]); // clamped; 127.5 between two
  const { data } = pictureOf(
    half,
    { frames: 1, frame: 0, rows: 1, columns: 1 },
    { width: 1, height: 1 },
  );
  expect([data[0], data[2], data[3]]).toEqual([0, 255, 255]);
  expect([127, 128]).toContain(data[1]);
});
