// One model on libtorch, onnxruntime-node and in Chromium (WebAssembly with threads, WebGPU), side by side: round trips a second
// of one picture at a time, and how far each lies from libtorch. The browser's part needs Chromium (CHROMIUM_PATH).
// Usage: npx tsx bench/onnx.ts MODEL [size=256] [seconds=5] [webgpu=auto|swiftshader|off]
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import * as ort from "onnxruntime-node";
import { chromium } from "playwright-core";
import { bytesOf, pixelsOf } from "../src/data/batch.js";
import { drawPicture } from "../src/data/drawn.js";
import { exportOnnx } from "../src/export/onnx.js";
import { startStudio } from "../src/serve/studio.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { noGrad, scope } from "../src/torch/index.js";

const [target = "models/starter", size = "256", seconds = "5", webgpu = "auto"] =
  process.argv.slice(2);
const folder = existsSync(join(target, "config.json")) ? target : join(target, "model");
const [side, limitMs] = [Number(size), Number(seconds) * 1000];
const scratch = mkdtempSync(join(tmpdir(), "vitok-bench-onnx-"));
const tokenizer = await Tokenizer.load(folder);
exportOnnx(tokenizer, join(scratch, "model"));
const { bytes } = drawPicture([3], side); // [side, side, 3]

/** A backend's row: once to warm up, then again and again. */
async function time(backend: string, run: () => Promise<Uint8Array> | Uint8Array) {
  const recon = await run();
  let [count, start] = [0, performance.now()];
  while (performance.now() - start < limitMs) {
    await run();
    count++;
  }
  return row(backend, (1000 * count) / (performance.now() - start), recon);
}

let reference: Uint8Array | undefined;
function row(backend: string, perSecond: number, recon: Uint8Array) {
  reference ??= recon;
  const apart = recon.reduce((most, byte, i) => Math.max(most, Math.abs(byte - reference![i]!)), 0);
  return { backend, "images/s": Number(perSecond.toPrecision(3)), "off by, of 255": apart };
}

const onTorch = () =>
  scope(() =>
    noGrad(() => bytesOf(tokenizer.reconstruct(pixelsOf({ bytes, shape: [1, 1, side, side, 3] })))),
  );

/** onnxruntime-node, planes in and out. */
async function openNode() {
  const open = (name: string) => ort.InferenceSession.create(join(scratch, "model", name));
  const [encoder, decoder] = [await open("encoder.onnx"), await open("decoder.onnx")];
  const area = side * side;
  const planes = Float32Array.from(
    { length: 3 * area },
    (_, i) => bytes[(i % area) * 3 + Math.floor(i / area)]! / 127.5 - 1,
  );
  const pixels = new ort.Tensor("float32", planes, [1, 3, 1, side, side]);
  return async () => {
    const { mean, grid } = await encoder.run({ pixels });
    const keep = tokenizer.config.maskable
      ? { keep: new ort.Tensor("int64", BigInt64Array.of(BigInt(mean!.dims[1]!)), [1]) }
      : {};
    const { recon } = await decoder.run({ latent: mean!, grid: grid!, ...keep });
    const data = recon!.data as Float32Array;
    return Uint8Array.from(bytes, (_, i) =>
      Math.round((data[(i % 3) * area + Math.floor(i / 3)]! + 1) * 127.5),
    );
  };
}

/** The page's side: window.bench(backend) -> rate and picture. */
const pageSource = `
import { WebTokenizer } from ${JSON.stringify(fileURLToPath(new URL("../dist/web/index.js", import.meta.url)))};
window.bench = async ({ backend, side, limitMs, bytes }) => {
  const tokenizer = await WebTokenizer.load("/models/model/", { backend });
  const data = new Uint8ClampedArray(4 * side * side).fill(255);
  bytes.forEach((byte, i) => { data[Math.floor(i / 3) * 4 + (i % 3)] = byte; });
  const run = async () => tokenizer.decode(await tokenizer.encode({ data, width: side, height: side }));
  const recon = await run();
  let count = 0;
  const start = performance.now();
  while (performance.now() - start < limitMs) { await run(); count++; }
  const rate = (1000 * count) / (performance.now() - start);
  const { name, threads } = tokenizer.backend;
  tokenizer.dispose();
  return { rate, name, threads, recon: [...recon.data].filter((_, i) => i % 4 < 3) };
};`;

async function inBrowser(backend: "wasm" | "webgpu") {
  const app = join(scratch, "app");
  mkdirSync(app, { recursive: true });
  writeFileSync(join(app, "page.js"), pageSource);
  const web = (name: string) => fileURLToPath(new URL(`../dist/web/${name}`, import.meta.url));
  await build({
    entryPoints: { bench: join(app, "page.js"), worker: web("worker.js") },
    ...{ bundle: true, format: "esm", outdir: app, logLevel: "error" },
  });
  writeFileSync(join(app, "index.html"), '<script type="module" src="/bench.js"></script>');
  const studio = await startStudio({
    ...{ port: 0, app, runs: () => [], studies: () => [] },
    models: [{ name: "model", folder: join(scratch, "model"), variant: tokenizer.name }],
    runtime: dirname(createRequire(import.meta.url).resolve("onnxruntime-web")),
  });
  const software = ["--use-webgpu-adapter=swiftshader", "--use-vulkan=swiftshader"];
  const gpu = ["--enable-unsafe-webgpu", "--enable-features=Vulkan"];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      ...(backend === "webgpu" ? [...gpu, ...(webgpu === "swiftshader" ? software : [])] : []),
    ],
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(0);
    await page.goto(studio.url);
    await page.waitForFunction("window.bench");
    const wish = { backend, side, limitMs, bytes: [...bytes] };
    const { rate, name, threads, recon } = (await page.evaluate(
      `window.bench(${JSON.stringify(wish)})`,
    )) as { rate: number; name: string; threads: number; recon: number[] };
    const how = name === "wasm" ? `${threads} threads` : webgpu;
    return row(`Chromium, ${name}, ${how}`, rate, Uint8Array.from(recon));
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0]!;
    return { backend: `Chromium, ${backend}`, "images/s": reason };
  } finally {
    await browser.close();
    await studio.close();
  }
}

const rows = [await time("libtorch", onTorch), await time("onnxruntime-node", await openNode())];
const hasBrowser = existsSync(process.env.CHROMIUM_PATH ?? "/usr/bin/chromium");
const browsers = hasBrowser ? [await inBrowser("wasm")] : [];
if (hasBrowser && webgpu !== "off") browsers.push(await inBrowser("webgpu"));
console.log(`${tokenizer.name}, ${side} x ${side}, one picture at a time, encode and decode`);
console.table([...rows, ...browsers]);
tokenizer.dispose();
rmSync(scratch, { recursive: true });
