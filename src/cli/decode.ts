// `vitok decode MODEL X.safetensors --out DIR`: a file of latents back to pictures and videos, of the sizes, rates and lengths
// they had.

import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { requireFits } from "../codec/decode.js";
import { openLatents, type StoredLatent } from "../codec/latent-stream.js";
import { decodeStream } from "../codec/stream.js";
import { writeImage } from "../media/image.js";
import { probeVideo } from "../media/video-info.js";
import { openVideoWriter, type WriterOptions } from "../media/video-writer.js";
import { type LoadedAutoEncoder, loadAutoEncoder } from "./auto-encoder.js";
import { chooseWindows, isVideo, peakBytes, reportPeak, type WindowOptions } from "./clip-input.js";
import { uniqueStems } from "./files.js";
import type { PlacementOptions } from "./model.js";
import { openOutput } from "./output.js";
import { openProgress } from "./progress.js";

interface DecodeOptions extends PlacementOptions, Omit<WindowOptions, "fps"> {
  readonly out: string;
  readonly keep?: number;
  readonly videoFormat: "mp4" | "gif" | "frames";
  readonly audio?: boolean;
  readonly json?: boolean;
}

export async function run(
  [target, path]: readonly [string, string],
  options: DecodeOptions,
): Promise<void> {
  const output = openOutput(options);
  const { latents, model: hash } = openLatents(path);
  const model = await loadAutoEncoder(target, options);
  if (hash !== undefined && hash !== model.id.weightsHash)
    output.log(`${path} was encoded with other weights (${hash}) than ${target} has.`);
  const stems = uniqueStems(latents.map(({ source }) => basename(source)));
  const progress = openProgress("decode", { total: latents.length });
  await mkdir(options.out, { recursive: true });
  const files = [];
  try {
    for (const [i, latent] of latents.entries()) {
      requireFits(model.tokenizer.config, latent);
      const result = await decodeTo(join(options.out, stems[i]!), latent, { model, options });
      const { source, size, fps } = latent;
      files.push({ source, result, size, ...(fps ? { fps } : {}) });
      progress.update(i + 1);
    }
  } finally {
    progress.stop();
  }
  output.print(`${files.length} decoded into ${options.out}.`);
  reportPeak(model, options, output);
  output.result({ files, peakBytes: peakBytes(model) });
  model.tokenizer.dispose();
}

interface Job {
  readonly model: LoadedAutoEncoder;
  readonly options: DecodeOptions;
}

/** A picture as `<stem>.png`, a video as `<stem>.mp4`, `.gif` or a folder of frames. Returns what was written. */
async function decodeTo(
  stem: string,
  latent: StoredLatent,
  { model, options }: Job,
): Promise<string> {
  const { source, size, grid, fps } = latent;
  const tiling = chooseWindows(model, size, options);
  const slabs = latent.slabs(Math.max(1, tiling.chunk / model.tokenizer.config.tubeletSize));
  const { keep } = options;
  const clips = decodeStream(model.tokenizer, slabs, { tiling, source, keep, size, grid });
  if (fps === undefined && size.frames === 1) {
    for await (const clip of clips) await writeImage(`${stem}.png`, clip);
    return `${stem}.png`;
  }
  const place = options.videoFormat === "frames" ? stem : `${stem}.${options.videoFormat}`;
  const { height, width } = size;
  const sound = options.audio ? await soundOf(source) : undefined;
  const writer = openVideoWriter(place, { height, width, fps: fps ?? 8, sound });
  try {
    for await (const clip of clips) await writer.write(clip);
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return place;
}

/** The sound of the file that a latent was made of, while it is there. */
export async function soundOf(source: string): Promise<WriterOptions["sound"]> {
  if (!isVideo(source) || !existsSync(source)) return undefined;
  const { sound } = await probeVideo(source);
  return sound ? { file: source, codec: sound } : undefined;
}
