// What the page and the library's worker say to each other. Plain data, so that it can be posted.

/** What an exported folder's config.json says, as far as the browser needs it. */
export interface ExportedConfig {
  readonly patch_size: number;
  readonly tubelet_size: number;
  readonly channels: number;
  readonly latent_tokens: number;
  readonly maskable: boolean;
  readonly onnx: { readonly precision: string; readonly encoder: string; readonly decoder: string };
}

/** What runs the model: the graphics processor, or WebAssembly with so many threads. */
export interface Backend {
  readonly name: "webgpu" | "wasm";
  readonly threads: number;
}

export interface LoadRequest {
  readonly kind: "load";
  /** The exported folder, absolute. */
  readonly url: string;
  /** Where ONNX Runtime's .mjs and .wasm files are, absolute, ending in a slash. */
  readonly runtimeUrl: string;
  readonly backend: Backend["name"] | "auto";
}
export interface EncodeRequest {
  readonly kind: "encode";
  /** float32 [1, 3, frames, height, width] in [-1, 1] */
  readonly pixels: Float32Array;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}
export interface DecodeRequest {
  readonly kind: "decode";
  /** float32 [1, L, c] */
  readonly mean: Float32Array;
  readonly grid: readonly [number, number, number];
  readonly keep: number | undefined;
}
export type Request = LoadRequest | EncodeRequest | DecodeRequest;

export interface Loaded {
  readonly config: ExportedConfig;
  readonly backend: Backend;
}
export interface Encoded {
  readonly mean: Float32Array;
  readonly tokens: number;
  readonly grid: readonly [number, number, number];
}
export interface Decoded {
  /** float32 [3, frames, height, width], of the padded size */
  readonly recon: Float32Array;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

export type ToWorker = { readonly id: number; readonly request: Request };
export type FromWorker =
  | { readonly id: number; readonly answer: Loaded | Encoded | Decoded }
  | { readonly id: number; readonly failure: string }
  | { readonly progress: { readonly received: number; readonly total: number } };
