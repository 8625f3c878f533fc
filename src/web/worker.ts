// The library's worker: it downloads an exported model, and runs it with ONNX Runtime on WebGPU or WebAssembly.
import * as ort from "onnxruntime-web/webgpu";
import { download, type Progress } from "./download.js";
import type {
  Backend,
  Decoded,
  DecodeRequest,
  Encoded,
  EncodeRequest,
  ExportedConfig,
  FromWorker,
  Loaded,
  LoadRequest,
  ToWorker,
} from "./messages.js";

interface Model {
  readonly config: ExportedConfig;
  readonly encoder: ort.InferenceSession;
  readonly decoder: ort.InferenceSession;
}

let model: Model | undefined;
const post = (message: FromWorker, transfer: Transferable[] = []) =>
  self.postMessage(message, { transfer });

self.addEventListener("message", async ({ data: { id, request } }: MessageEvent<ToWorker>) => {
  try {
    if (request.kind === "load") post({ id, answer: await load(request) });
    else if (!model) throw new Error("Expected a loaded model, received none. Call load first.");
    else if (request.kind === "encode") post({ id, answer: await encode(model, request) });
    else post({ id, answer: await decode(model, request) });
  } catch (error) {
    post({ id, failure: error instanceof Error ? error.message : String(error) });
  }
});

async function load({ url, runtimeUrl, backend }: LoadRequest): Promise<Loaded> {
  const place = (name: string) => new URL(name, url).href;
  const response = await fetch(place("config.json"), { cache: "no-cache" });
  if (!response.ok)
    throw new Error(`Expected an exported model at ${url}, received status ${response.status}.`);
  const config = (await response.json()) as ExportedConfig;
  const files = await downloadAll([place(config.onnx.encoder), place(config.onnx.decoder)]);
  const chosen = await chooseBackend(backend);
  ort.env.wasm.wasmPaths = runtimeUrl;
  ort.env.wasm.numThreads = chosen.threads;
  ort.env.logLevel = "error";
  const open = (bytes: Uint8Array) =>
    ort.InferenceSession.create(bytes, { executionProviders: [chosen.name] });
  const [encoder, decoder] = [await open(files[0]!), await open(files[1]!)];
  model = { config, encoder, decoder };
  return { config, backend: chosen };
}

/** Both files at once, with one progress for the two. */
function downloadAll(urls: readonly string[]): Promise<Uint8Array[]> {
  const parts = urls.map((): Progress => ({ received: 0, total: 0 }));
  return Promise.all(
    urls.map((url, i) =>
      download(url, (progress) => {
        parts[i] = progress;
        const sum = (key: keyof Progress) => parts.reduce((total, part) => total + part[key], 0);
        post({ progress: { received: sum("received"), total: sum("total") } });
      }),
    ),
  );
}

/** Threads need a page that is isolated (COOP and COEP headers). */
async function chooseBackend(wanted: LoadRequest["backend"]): Promise<Backend> {
  const threads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency) : 1;
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu;
  const adapter = wanted === "wasm" ? null : await gpu?.requestAdapter().catch(() => null);
  if (adapter) return { name: "webgpu", threads: 1 };
  if (wanted !== "webgpu") return { name: "wasm", threads };
  throw new Error("Expected WebGPU in this browser, received none. Choose wasm.");
}

async function encode(
  { config, encoder }: Model,
  { pixels, frames, height, width }: EncodeRequest,
): Promise<Encoded> {
  const input = new ort.Tensor("float32", pixels, [1, 3, frames, height, width]);
  const { mean, grid } = await encoder.run({ pixels: input }, ["mean", "grid"]);
  const [t, h, w] = [...(grid!.data as BigInt64Array)].map(Number);
  const data = mean!.data as Float32Array;
  return { mean: data, tokens: data.length / config.channels, grid: [t!, h!, w!] };
}

async function decode(
  { config, decoder }: Model,
  { mean, grid, keep }: DecodeRequest,
): Promise<Decoded> {
  const tokens = mean.length / config.channels;
  const whole = (values: readonly number[]) =>
    new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
  const { recon } = await decoder.run({
    latent: new ort.Tensor("float32", mean, [1, tokens, config.channels]),
    grid: whole(grid),
    ...(config.maskable && { keep: whole([keep ?? tokens]) }),
  });
  const [, , frames, height, width] = recon!.dims as [number, number, number, number, number];
  return { recon: recon!.data as Float32Array, frames, height, width };
}
