// A request's body, read with a limit of bytes and of time; the file in it, the latents in that, or its JSON. Nothing in a
// request is ever taken for a path. Pictures and clips are clip-body.ts.
import type { z } from "zod";
import { requireFits } from "../codec/decode.js";
import { type Latent, readLatents } from "../codec/latent-file.js";
import type { Grid } from "../nn/rope.js";
import type { TokenizerConfig } from "../tokenizer/config.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { scope } from "../torch/index.js";
import { HttpError } from "./http-error.js";
import type { Limits } from "./limits.js";

export type BodyLimits = Pick<Limits, "bodyBytes" | "uploadMs">;

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

/** The content type of a request's body, or of a form's file, without its parameters. */
export const mediaType = (header: string | null): string =>
  (header ?? "").split(";")[0]!.trim().toLowerCase();

/** A file in a body: the body itself, or one of a form; and what it says it is. */
export interface SentFile {
  readonly bytes: Uint8Array;
  readonly type: string;
}

/** The first file of a body. @throws HttpError as readFiles() */
export async function readFile(request: Request, limits: BodyLimits): Promise<SentFile> {
  return (await readFiles(request, limits))[0]!;
}

/** All files of a form, or the body. @throws HttpError as readBody(), and 400 for a form without a file */
export async function readFiles(request: Request, limits: BodyLimits): Promise<SentFile[]> {
  const body = await readBody(request, limits);
  const header = request.headers.get("content-type");
  if (mediaType(header) !== "multipart/form-data")
    return [{ bytes: body, type: mediaType(header) }];
  const form = await new Response(body as Uint8Array<ArrayBuffer>, {
    headers: { "content-type": header! },
  })
    .formData()
    .catch(() => undefined);
  const files = [...(form?.values() ?? [])].filter((value) => value instanceof File);
  if (files.length)
    return Promise.all(
      files.map(async (file) => ({
        bytes: new Uint8Array(await file.arrayBuffer()),
        type: mediaType(file.type),
      })),
    );
  throw new HttpError(400, "Expected a form with a file, received none. Send a field `file`.");
}

/** A JSON body by its schema. @throws HttpError as readBody(), 415 for another type, 422 for what the schema refuses */
export async function readJson<T extends z.ZodType>(
  request: Request,
  schema: T,
  limits: BodyLimits,
): Promise<z.output<T>> {
  requireType(request, /^application\/json$/, "JSON");
  const text = new TextDecoder().decode(await readBody(request, limits));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(422, `Expected JSON for the body: ${(error as Error).message}.`);
  }
  return checked(schema, value, "Body");
}

/** A value that fits a schema. @throws HttpError 422 with where and why it does not */
export function checked<T extends z.ZodType>(schema: T, value: unknown, name: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue!.path.join(".");
  throw new HttpError(422, `${name}: ${place ? `${place}: ` : ""}${issue!.message}.`);
}

/** One sample's code as plain numbers. */
export interface ReadLatent {
  /** [L, c] */
  readonly latent: Float32Array;
  readonly grid: Grid;
  readonly size: ClipSize;
  readonly fps: number | undefined;
}

/** The latent of a request: one, as `vitok encode` and /v1/encode write it, for a model of the given config. */
export async function readLatent(
  request: Request,
  limits: Limits & { readonly config: TokenizerConfig },
): Promise<ReadLatent> {
  requireType(request, /^(multipart\/form-data|application\/octet-stream)$/, "safetensors");
  const { bytes } = await readFile(request, limits);
  return scope(() => {
    const latents = parse(() => readLatents(bytes).latents);
    const [latent] = latents as [Latent];
    const { mean, grid, size } = latent;
    if (latents.length !== 1 || mean.dtype !== "float32")
      throw new HttpError(
        422,
        `Expected one float32 latent, received ${latents.length}, the first ${mean.dtype}.`,
      );
    requireSize(size, limits);
    parse(() => requireFits(limits.config, { ...latent, shape: latent.mean.shape }));
    return { latent: mean.toArray() as Float32Array, grid, size, fps: latent.fps };
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

/** @throws HttpError 413 for a picture or clip above the limits */
export function requireSize(
  { frames, height, width }: ClipSize,
  limits: Pick<Limits, "frames" | "pixels" | "clipPixels">,
): void {
  const pixels = height * width;
  if (frames <= limits.frames && pixels <= limits.pixels && frames * pixels <= limits.clipPixels)
    return;
  throw new HttpError(
    413,
    `Expected at most ${limits.pixels} pixels, ${limits.frames} frames and ${limits.clipPixels} pixels in all of them, ` +
      `received ${frames} x ${height} x ${width}. Shrink it, or ask for fewer frames.`,
  );
}

/** @throws HttpError 415 */
export function requireType(request: Request, allowed: RegExp, what: string): void {
  const type = mediaType(request.headers.get("content-type"));
  if (allowed.test(type)) return;
  throw new HttpError(
    415,
    `Expected ${what} for the body, received ${type || "no content type"}. Say what it is in content-type.`,
  );
}
