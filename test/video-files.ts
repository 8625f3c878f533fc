// Small video files for tests, made by ffmpeg: frames whose grey level tells their number, with any time stamps, sound
// or rotation. Tests that use them skip where there is no ffmpeg.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { type Clip, createClip, type Size } from "../src/media/clip.js";
import { hasFfmpeg, toolPath } from "../src/media/ffmpeg.js";

/** False, with a word why, where the tests of video cannot run. */
export function canTestVideo(): boolean {
  const isHere = hasFfmpeg();
  if (!isHere) console.warn("skipped: no ffmpeg on the PATH (sudo apt-get install ffmpeg)");
  return isHere;
}

/** Frame k is of grey 8 k: far enough apart to survive compression. */
export function numberedClip(frames: number, { height, width }: Size): Clip {
  const bytes = new Uint8Array(frames * height * width * 3);
  for (let k = 0; k < frames; k++)
    bytes.fill(8 * k, k * height * width * 3, (k + 1) * height * width * 3);
  return createClip(bytes, { frames, height, width });
}

/** The numbers of a clip's frames, by the grey in their middle. */
export function numbersOf({ bytes, frames, height, width }: Clip): number[] {
  const length = height * width * 3;
  const middle = (Math.floor(height / 2) * width + Math.floor(width / 2)) * 3;
  return Array.from({ length: frames }, (_, k) => Math.round(bytes[k * length + middle]! / 8));
}

interface FileOptions {
  /** Output arguments of ffmpeg. */
  readonly args?: readonly string[];
  /** Further inputs, sound for example. */
  readonly inputs?: readonly string[];
  readonly fps?: number;
}

/** Writes a clip through ffmpeg with any arguments. */
export function makeVideo(path: string, clip: Clip, options: FileOptions = {}): string {
  const { args = [], inputs = [], fps = 10 } = options;
  const raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", `${clip.width}x${clip.height}`];
  execFileSync(
    toolPath("ffmpeg"),
    ["-v", "error", "-y", ...raw, "-r", String(fps), "-i", "pipe:0", ...inputs, ...args, path],
    { input: clip.bytes },
  );
  return path;
}

/** A sine as a further input. */
export const sine = (seconds: number): string[] => ["-f", "lavfi", "-i", `sine=d=${seconds}`];

/** Turns an MP4 by 90 degrees clockwise: the matrix in its track header, as telephones write it. */
export function turn(path: string): string {
  const bytes = readFileSync(path);
  const matrix = bytes.indexOf("tkhd") + 4 + 40; // version 0: 4 + 20 + 8 + 8 bytes before it
  const fixed = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000];
  for (const [i, value] of fixed.entries()) bytes.writeInt32BE(value, matrix + 4 * i);
  writeFileSync(path, bytes);
  return path;
}
