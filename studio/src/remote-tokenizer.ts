// A tokenizer that computes on a service, asked through the studio's own server. What goes there and back loses nothing: PNG,
// WebP and safetensors.
import { VitokClient } from "vitok/client";
import type { Picture, WebLatent } from "vitok/web";
import type { StudioTokenizer } from "./models.js";

export class RemoteTokenizer implements StudioTokenizer {
  readonly where = "on the server, the way there and back included";
  readonly maskable: boolean;
  readonly tubeletSize: number;
  readonly #name: string;
  readonly #client = new VitokClient(location.origin);
  /** The files that latents came in. */
  readonly #files = new WeakMap<WebLatent, Uint8Array<ArrayBuffer>>();

  constructor({ name, maskable, tubeletSize }: RemoteModel) {
    this.#name = name;
    this.maskable = maskable;
    this.tubeletSize = tubeletSize;
  }

  async encodeClip(sources: readonly (Picture | CanvasImageSource)[]): Promise<WebLatent> {
    const pictures = sources as readonly Picture[];
    const frames = await Promise.all(pictures.map(pngOf));
    const query = { model: this.#name };
    const file = await this.#client.encode(frames.length === 1 ? frames[0]! : frames, query);
    const latent = readLatent(file);
    this.#files.set(latent, file);
    return latent;
  }

  async decodeClip(latent: WebLatent, { keep }: { keep?: number } = {}): Promise<ImageData[]> {
    const query = { model: this.#name, format: "webp" as const, ...(keep && { keep }) };
    return readFrames(await this.#client.decode(this.#files.get(latent)!, query));
  }

  dispose(): void {}
}

interface RemoteModel {
  readonly name: string;
  readonly maskable: boolean;
  readonly tubeletSize: number;
}

function pngOf({ data, width, height }: Picture): Promise<Blob> {
  const canvas = new OffscreenCanvas(width, height);
  const pixels = new ImageData(new Uint8ClampedArray(data), width, height);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** The one latent of a safetensors file as /v1/encode answers it. */
export function readLatent(file: Uint8Array<ArrayBuffer>): WebLatent {
  const view = new DataView(file.buffer, file.byteOffset);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const { shape, data_offsets: place } = header["0.mean"];
  const list = (name: string) => JSON.parse(header.__metadata__[`0.${name}`]);
  const [frames, height, width] = list("size");
  const mean = new Float32Array(file.slice(8 + length + place[0], 8 + length + place[1]).buffer);
  return { mean, tokens: shape[0], grid: list("grid"), frames, height, width };
}

/** All frames of a picture file. */
async function readFrames(file: Blob): Promise<ImageData[]> {
  const bitmaps = await decodeFrames(file);
  return bitmaps.map((bitmap) => {
    const { width, height } = "displayWidth" in bitmap ? sizeOf(bitmap) : bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", {
      willReadFrequently: true,
    })!;
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return context.getImageData(0, 0, width, height);
  });
}

const sizeOf = ({ displayWidth: width, displayHeight: height }: VideoFrame) => ({ width, height });

async function decodeFrames(file: Blob): Promise<(ImageBitmap | VideoFrame)[]> {
  if (!("ImageDecoder" in globalThis)) return [await createImageBitmap(file)];
  const decoder = new ImageDecoder({ data: file.stream(), type: file.type });
  await decoder.completed;
  const { frameCount = 1 } = decoder.tracks.selectedTrack ?? {};
  const frames: VideoFrame[] = [];
  for (let frameIndex = 0; frameIndex < frameCount; frameIndex++)
    frames.push((await decoder.decode({ frameIndex })).image);
  decoder.close();
  return frames;
}
