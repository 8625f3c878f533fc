// Whether exported files compute what the model computes: both on the CPU, the files by ONNX Runtime, on the same numbers.
import { join } from "node:path";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { Generator, noGrad, rand, randn, scope, Tensor } from "../torch/index.js";
import { knowsTime } from "./onnx.js";

/** Absolute difference that a check allows, by the weights' dtype. float16 has 11 bits, and rounds after every operator. */
export const tolerances: Readonly<Record<string, number>> = { float32: 1e-4, float16: 3e-2 };

export interface Parity {
  /** Pixels, [batch, frames, height, width]. */
  readonly size: readonly number[];
  /** Largest absolute difference of each output. */
  readonly mean: number;
  readonly logvar: number;
  readonly recon: number;
}

type Runtime = typeof import("onnxruntime-node");

/**
 * ONNX Runtime for Node.
 * @throws an Error that says how to install it: it is an optional peer of this package
 */
export async function loadRuntime(): Promise<Runtime> {
  try {
    return await import("onnxruntime-node");
  } catch (cause) {
    throw new Error(
      "Expected onnxruntime-node for the parity check, received none. Install it: " +
        "ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@1.30.0, or leave the check out with --no-check.",
      { cause },
    );
  }
}

/**
 * Runs a tokenizer and its exported folder over the same noise at three sizes, the last of which is no multiple of the
 * tubelet; Masked models with another kept length for each sample. The weights' dtype must be the one exported.
 */
export async function checkParity(tokenizer: Tokenizer, folder: string): Promise<Parity[]> {
  const runtime = await loadRuntime();
  const open = (name: string) => runtime.InferenceSession.create(join(folder, name));
  const [encoder, decoder] = await Promise.all([open("encoder.onnx"), open("decoder.onnx")]);
  const results: Parity[] = [];
  for (const size of sizesFor(tokenizer))
    results.push(await compare(tokenizer, { runtime, encoder, decoder, size }));
  await Promise.all([encoder.release(), decoder.release()]);
  return results;
}

/** Larger than any difference may be, or which output of which size is off. */
export function worstOf(parities: readonly Parity[]): number {
  return Math.max(...parities.flatMap(({ mean, logvar, recon }) => [mean, logvar, recon]));
}

function sizesFor({ config }: Tokenizer): number[][] {
  const { patchSize: p, tubeletSize: q } = config;
  const time = knowsTime(config);
  return [
    [1, q, 4 * p, 4 * p],
    [2, (time ? 2 : 1) * q, 3 * p, 5 * p],
    [3, time && q > 1 ? q + 1 : q, 7 * p - 1, 2 * p + 1],
  ];
}

interface Case {
  readonly runtime: Runtime;
  readonly encoder: InferenceSession;
  readonly decoder: InferenceSession;
  readonly size: readonly number[];
}

async function compare(
  tokenizer: Tokenizer,
  { runtime, size, ...sessions }: Case,
): Promise<Parity> {
  const [batch, frames, height, width] = size as [number, number, number, number];
  const generator = new Generator(7);
  const shape = [batch, 3, frames, height, width];
  const pixels = scope(() => rand(shape, { generator }).mul(2).sub(1).toArray());
  const floats = (data: unknown, dims: readonly number[]) =>
    new runtime.Tensor("float32", data as Float32Array, dims);
  const given = await sessions.encoder.run({ pixels: floats(pixels, shape) });

  const expected = scope(() =>
    noGrad(() => {
      const posterior = tokenizer.encode(Tensor.from(pixels, shape));
      const { mean, logvar, grid } = posterior;
      const latent = randn(mean.shape, { generator });
      const keep = keptFor(tokenizer, mean.shape);
      const recon = tokenizer.decode(latent, grid, { keep }).clamp(-1, 1);
      const numbers = [mean, logvar, latent, recon].map((tensor) => tensor.toArray());
      return { numbers, latentShape: mean.shape, keep, grid };
    }),
  );
  const [mean, logvar, latent, recon] = expected.numbers as Float32Array[];
  const { grid, keep, latentShape } = expected;
  const whole = (values: readonly number[]) =>
    new runtime.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
  const decoded = await sessions.decoder.run({
    latent: floats(latent, latentShape),
    grid: whole([grid.t, grid.h, grid.w]),
    ...(keep && { keep: whole(keep) }),
  });
  return {
    size,
    mean: difference(given.mean!, mean!),
    logvar: difference(given.logvar!, logvar!),
    recon: difference(decoded.recon!, recon!),
  };
}

/** A kept length for each sample of a Masked model: all of them, then fewer. */
function keptFor({ config }: Tokenizer, [batch, length]: readonly number[]): number[] | undefined {
  if (!config.maskable) return undefined;
  return Array.from({ length: batch! }, (_, i) => Math.max(1, Math.round(length! / 2 ** i)));
}

/** NaN where the shapes' element counts differ or an element is no number: never within a tolerance. */
function difference(actual: OrtTensor, expected: Float32Array): number {
  const data = actual.data as Float32Array;
  if (data.length !== expected.length) return Number.NaN;
  return data.reduce((worst, value, i) => {
    const next = Math.abs(value - expected[i]!);
    return next <= worst ? worst : next;
  }, 0);
}
