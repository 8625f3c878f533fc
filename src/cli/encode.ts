// `vitok encode MODEL FILE... --out X.safetensors`: pictures and videos to one file of latents. A video is never in memory
// whole. With --data: encode-set.ts.

import { extname } from "node:path";
import { type LatentFacts, LatentWriter } from "../codec/latent-stream.js";
import { encodeStream } from "../codec/stream.js";
import { ConfigError } from "../config-error.js";
import { type LoadedAutoEncoder, loadAutoEncoder } from "./auto-encoder.js";
import {
  chooseWindows,
  openInput,
  peakBytes,
  reportPeak,
  type WindowOptions,
} from "./clip-input.js";
import { type EncodeSetCommandOptions, encodeData } from "./encode-set.js";
import { expandFiles, forEachFile } from "./files.js";
import { formatCount, openOutput } from "./output.js";

interface EncodeOptions extends Omit<EncodeSetCommandOptions, "data">, WindowOptions {
  readonly data?: string;
}

const usageError = 2;

type Encoded = LatentFacts & { readonly shape: readonly [number, number] };

export async function run(
  [target, paths = []]: readonly [string, string[]?],
  options: EncodeOptions,
): Promise<number> {
  const output = openOutput(options);
  const { out, data } = options;
  if ((data !== undefined) === paths.length > 0) {
    output.log("Expected either files or --data for encode. Give one of them.");
    return usageError;
  }
  if (data !== undefined) return encodeData(target, { ...options, data });
  if (extname(out) !== ".safetensors")
    throw new ConfigError(
      `Expected a .safetensors file for --out, received ${out}. Write for example --out latents.safetensors.`,
    );
  const inputs = await expandFiles(paths);
  const model = await loadAutoEncoder(target, options);
  const writer = new LatentWriter(out);
  const { done, failed } = await forEachFile("encode", inputs, {
    output,
    work: ({ path }) => encodeFile(path, { model, writer, options }),
  }).catch((error: unknown) => {
    writer.abort();
    throw error;
  });
  if (done.length) writer.close(model.id.weightsHash ?? undefined);
  else writer.abort();

  const files = done.map((facts) => ({ ...facts, compressionRatio: ratioOf(facts) }));
  const numbers = done.reduce((sum, { shape: [length, width] }) => sum + length * width, 0);
  output.print(
    done.length
      ? `${done.length} of ${inputs.length} encoded into ${out}: ${formatCount(numbers)} numbers.\n` +
          `Back again: npx vitok decode ${target} ${out} --out DIR`
      : `None of ${inputs.length} could be encoded; ${out} was not written.`,
  );
  reportPeak(model, options, output);
  output.result({
    ...{ out: done.length ? out : null, files, failed, peakBytes: peakBytes(model) },
  });
  model.tokenizer.dispose();
  return failed.length ? 1 : 0;
}

interface Job {
  readonly model: LoadedAutoEncoder;
  readonly writer: LatentWriter;
  readonly options: EncodeOptions;
}

async function encodeFile(path: string, { model, writer, options }: Job): Promise<Encoded> {
  const { tokenizer } = model;
  const { patchSize: p, channels } = tokenizer.config;
  try {
    const input = await openInput(path, options);
    const { height, width } = input.size;
    const tiling = chooseWindows(model, input.size, options);
    let frames = 0;
    const counted = async function* () {
      for await (const frame of input.frames()) {
        frames++;
        yield frame;
      }
    };
    let [t, length] = [0, 0];
    for await (const slab of encodeStream(tokenizer, counted(), { tiling, source: path })) {
      writer.write(slab.values);
      t += slab.slices;
      length += slab.values.length / channels;
    }
    const facts: LatentFacts = {
      source: path,
      grid: { t, h: Math.ceil(height / p), w: Math.ceil(width / p) },
      size: { frames, height, width },
      ...(input.fps === undefined ? {} : { fps: input.fps }),
    };
    writer.end(facts, channels);
    return { ...facts, shape: [length, channels] };
  } catch (error) {
    writer.drop();
    throw error;
  }
}

const ratioOf = ({ size: { frames, height, width }, shape: [length, channels] }: Encoded): number =>
  (3 * frames * height * width) / (length * channels);
