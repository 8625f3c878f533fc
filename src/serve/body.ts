// A request's body, read with a limit of bytes and of time, and the picture or the latents in it. Nothing in a request is ever
// taken for a path.
import { requireFits } from "../codec/decode.js";
import { type Latent, readLatents } from "../codec/latent-file.js";
import type { Clip } from "../media/clip.js";
import { readImage } from "../media/image.js";
import type { Grid } from "../nn/rope.js";
import type { TokenizerConfig } from "../tokenizer/config.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { scope } from "../torch/index.js";
import { HttpError } from "./http-error.js";
import type { Limits } from "./limits.js";

type BodyLimits = Pick<Limits, "bodyBytes" | "uploadMs">;

/** @throws HttpError 413 above the limit, as soon as it is known; 408 for a sender that is too slow; 400 for none. */
export async function readBody(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const { bodyBytes, uploadMs } = limits;
  const tooLarge = () =>
    new HttpError(413, `Expected at most ${bodyBytes} bytes, received more. Shrink the file.`);
  if (Number(request.headers.get("content-length")) > bodyBytes) throw tooLarge();
  if (!request.body)
    throw new HttpError(400, "Expected a body, received none. Send the file itself.");
  const reader = request.body.getReader();
  const late = timeOut(uploadMs);
  try {
    const chunks: Uint8Array[] = [];
    for (let length = 0; ; ) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) break;
      length += value.length;
      if (length > bodyBytes) throw tooLarge();
      chunks.push(value);
    }
    if (chunks.length === 0) throw new HttpError(400, "Expected a body, received an empty one.");
    return new Uint8Array(Buffer.concat(chunks));
  } catch (error) {
    if (error instanceof HttpError) throw error;
    throw new HttpError(400, "Expected a whole body, but the connection ended early.");
  } finally {
    late.stop();
    reader.releaseLock();
  }
}

function timeOut(uploadMs: number): { promise: Promise<never>; stop: () => void } {
  let timer: NodeJS.Timeout;
  const promise = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new HttpError(408, `Expected the body within ${uploadMs} ms. Send it faster.`)),
      uploadMs,
    );
  });
  promise.catch(() => {}); // it may lose every race
  return { promise, stop: () => clearTimeout(timer) };
}

const typeOf = (request: Request) =>
  (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();

/** The file in a body: the body itself, or the first file of a form. */
async function fileIn(request: Request, body: Uint8Array): Promise<Uint8Array> {
  if (typeOf(request) !== "multipart/form-data") return body;
  const headers = { "content-type": request.headers.get("content-type")! };
  const form = await new Response(body as Uint8Array<ArrayBuffer>, { headers })
    .formData()
    .catch(() => undefined);
  const file = [...(form?.values() ?? [])].find((value) => value instanceof File);
  if (file) return new Uint8Array(await file.arrayBuffer());
  throw new HttpError(400, "Expected a form with a file, received none. Send a field `file`.");
}

/** The picture of a request. */
export async function readPicture(
  request: Request,
  limits: BodyLimits & Pick<Limits, "pixels">,
): Promise<Clip> {
  requireType(request, /^(image\/.+|multipart\/form-data|application\/octet-stream)$/, "a picture");
  const file = await fileIn(request, await readBody(request, limits));
  try {
    return await readImage(file, { name: "the body", pixelLimit: limits.pixels });
  } catch (error) {
    if (/pixel limit/.test((error as Error).message))
      throw new HttpError(
        413,
        `Expected a picture of at most ${limits.pixels} pixels, received a larger one. Shrink it.`,
      );
    throw new HttpError(422, (error as Error).message);
  }
}

/** One sample's code as plain numbers. */
export interface ReadLatent {
  /** [L, c] */
  readonly latent: Float32Array;
  readonly grid: Grid;
  readonly size: ClipSize;
}

/** The latent of a request: one, as `vitok encode` and /v1/encode write it, for a model of the given config. */
export async function readLatent(
  request: Request,
  limits: Limits & { readonly config: TokenizerConfig },
): Promise<ReadLatent> {
  requireType(request, /^(multipart\/form-data|application\/octet-stream)$/, "safetensors");
  const file = await fileIn(request, await readBody(request, limits));
  return scope(() => {
    const latents = parse(() => readLatents(file).latents);
    const [latent] = latents as [Latent];
    const { mean, grid, size } = latent;
    if (latents.length !== 1 || mean.dtype !== "float32")
      throw new HttpError(
        422,
        `Expected one float32 latent, received ${latents.length}, the first ${mean.dtype}.`,
      );
    if (size.frames > limits.frames || size.height * size.width > limits.pixels)
      throw new HttpError(
        413,
        `Expected at most ${limits.frames} frames of ${limits.pixels} pixels, received ${size.frames} x ${size.height} x ${size.width}.`,
      );
    parse(() => requireFits(limits.config, { ...latent, shape: latent.mean.shape }));
    return { latent: mean.toArray() as Float32Array, grid, size };
  });
}

/** What a reader finds wrong is the sender's. */
function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new HttpError(422, (error as Error).message);
  }
}

function requireType(request: Request, allowed: RegExp, what: string): void {
  if (allowed.test(typeOf(request))) return;
  throw new HttpError(
    415,
    `Expected ${what} for the body, received ${typeOf(request) || "no content type"}. Say what it is in content-type.`,
  );
}
