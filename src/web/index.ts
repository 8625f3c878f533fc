// `vitok/web`: an exported tokenizer in a browser, in a worker of its own. No libtorch, no Node; needs onnxruntime-web.
// How to bundle and serve it: docs/web.md.
import type { Progress } from "./download.js";
import type {
  Backend,
  Decoded,
  Encoded,
  ExportedConfig,
  FromWorker,
  Loaded,
  Request,
  ToWorker,
} from "./messages.js";
import { type Picture, pictureOf, planesOf } from "./pixels.js";

export type { Backend, ExportedConfig, Picture, Progress };

export interface WebOptions {
  /** Where ONNX Runtime's .mjs and .wasm files are served; default `/ort/`. */
  readonly runtimeUrl?: string;
  /** Default auto: WebGPU where there is an adapter, else WebAssembly. */
  readonly backend?: Backend["name"] | "auto";
  /** Of the download of both models. */
  readonly onProgress?: (progress: Progress) => void;
}

/** The code of a picture or clip: what decode() and decodeClip() take. */
export interface WebLatent {
  /** Posterior mean, [L, c] row-major. */
  readonly mean: Float32Array;
  readonly tokens: number;
  /** Tokens over time, rows and columns. */
  readonly grid: readonly [number, number, number];
  /** Frames and pixels, before padding. */
  readonly frames: number;
  readonly width: number;
  readonly height: number;
}

type Settle = { resolve: (answer: never) => void; reject: (error: Error) => void };

export class WebTokenizer {
  readonly #pending = new Map<number, Settle>();
  #last = 0;
  #loaded: Loaded | undefined;

  private constructor(
    private readonly worker: Worker,
    onProgress: WebOptions["onProgress"],
  ) {
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if ("progress" in data) return onProgress?.(data.progress);
      const pending = this.#pending.get(data.id);
      this.#pending.delete(data.id);
      if ("failure" in data) pending?.reject(new Error(data.failure));
      else pending?.resolve(data.answer as never);
    });
    worker.addEventListener("error", ({ message }) => {
      for (const { reject } of this.#pending.values()) reject(new Error(message));
      this.#pending.clear();
    });
  }

  /**
   * Loads the folder that `vitok export` wrote, by its address.
   * @throws an Error where it is not there, or no backend runs it
   */
  static async load(url: string, options: WebOptions = {}): Promise<WebTokenizer> {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const tokenizer = new WebTokenizer(worker, options.onProgress);
    const absolute = (address: string) => new URL(address, location.href).href.replace(/\/?$/, "/");
    try {
      tokenizer.#loaded = await tokenizer.#ask<Loaded>({
        ...{ kind: "load", url: absolute(url), backend: options.backend ?? "auto" },
        runtimeUrl: absolute(options.runtimeUrl ?? "/ort/"),
      });
      return tokenizer;
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  get config(): ExportedConfig {
    return this.#loaded!.config;
  }
  get backend(): Backend {
    return this.#loaded!.backend;
  }

  /** A picture (ImageData, or anything a canvas can draw, a VideoFrame among them) to its code. */
  encode(source: Picture | CanvasImageSource): Promise<WebLatent> {
    return this.encodeClip([source]);
  }

  /** Pictures of one size, in their order, to the code of the clip that they are. */
  async encodeClip(sources: readonly (Picture | CanvasImageSource)[]): Promise<WebLatent> {
    const pictures = sources.map((source) => ("data" in source ? source : readPicture(source)));
    const [first] = pictures;
    if (!first) throw new Error("Expected at least one picture for a clip, received none.");
    const { width, height } = first;
    if (pictures.some((other) => other.width !== width || other.height !== height))
      throw new Error("Expected pictures of one size for a clip, received several sizes.");
    const pixels = planesOf(pictures);
    const frames = pictures.length;
    const { mean, tokens, grid } = await this.#ask<Encoded>(
      { kind: "encode", pixels, frames, height, width },
      [pixels.buffer],
    );
    return { mean, tokens, grid, frames, width, height };
  }

  /** A code to its picture, or the first one of its clip. `keep` (Masked models): how many leading tokens are real. */
  async decode(latent: WebLatent, options: { keep?: number } = {}): Promise<ImageData> {
    return (await this.decodeClip(latent, options))[0]!;
  }

  /** A code to all pictures of its clip, of the size they had. */
  async decodeClip(latent: WebLatent, options: { keep?: number } = {}): Promise<ImageData[]> {
    const { mean, grid, width, height } = latent;
    const answer = await this.#ask<Decoded>({ kind: "decode", mean, grid, keep: options.keep });
    const shape = { frames: answer.frames, rows: answer.height, columns: answer.width };
    return Array.from({ length: latent.frames }, (_, frame) => {
      const { data } = pictureOf(answer.recon, { ...shape, frame }, { width, height });
      return new ImageData(data, width, height);
    });
  }

  /** Ends the worker and frees the model. */
  dispose(): void {
    this.worker.terminate();
    for (const { reject } of this.#pending.values())
      reject(new Error("The model was disposed of."));
    this.#pending.clear();
  }

  #ask<T>(request: Request, transfer: Transferable[] = []): Promise<T> {
    const id = ++this.#last;
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Settle["resolve"], reject });
      this.worker.postMessage({ id, request } satisfies ToWorker, transfer);
    });
  }
}

/** The pixels of what a canvas can draw. */
function readPicture(source: CanvasImageSource): ImageData {
  const side = (name: string) => (source as unknown as Record<string, number | undefined>)[name];
  const width = side("displayWidth") ?? side("videoWidth") ?? side("naturalWidth") ?? side("width");
  const height =
    side("displayHeight") ?? side("videoHeight") ?? side("naturalHeight") ?? side("height");
  if (!width || !height)
    throw new Error("Expected a source with a size for encode, received none.");
  const context = new OffscreenCanvas(width, height).getContext("2d", {
    willReadFrequently: true,
  })!;
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}
