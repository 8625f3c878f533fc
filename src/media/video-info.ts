// What a video file says of itself, without decoding it: size, rate, length, sound. As it is to be seen: upright, with
// square pixels. Reading its frames is video.ts.

import type { Size } from "./clip.js";
import { MediaError } from "./error.js";
import { askProbe } from "./ffmpeg.js";

/** Video files by extension. An animated GIF counts as a picture (image.ts) unless it is asked for as a video. */
export const videoExtensions: readonly string[] = [
  ...["mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "m2ts", "wmv", "flv", "ogv"],
  ...["3gp", "y4m"],
];

/** Larger frames are refused before they are decoded: 8192 x 8192 pixels. */
export const framePixelLimit = 2 ** 26;

/** Height and width in pixels as it is to be seen: rotation applied, pixels made square. */
export interface VideoInfo extends Size {
  /** Frames a second in the mean; a variable rate has no other. */
  readonly fps: number;
  /** Length of the picture track in seconds. */
  readonly durationS: number;
  /** The length is the picture track's own, not that of a file whose sound may be longer. */
  readonly isDurationOwn: boolean;
  /** The codec of its sound, as ffmpeg names it; absent where it has none. */
  readonly sound?: string;
  /** The picture track's number in the file. */
  readonly stream: number;
  /** Of the conversion to RGB, as ffmpeg's scale filter names it. */
  readonly colourMatrix: "auto" | "bt709";
}

interface Stream {
  readonly index: number;
  readonly codec_type?: string;
  readonly codec_name?: string;
  readonly width?: number;
  readonly height?: number;
  readonly sample_aspect_ratio?: string;
  readonly avg_frame_rate?: string;
  readonly r_frame_rate?: string;
  readonly duration?: string;
  readonly color_space?: string;
  readonly disposition?: { readonly attached_pic?: number };
  readonly tags?: { readonly rotate?: string; readonly DURATION?: string };
  readonly side_data_list?: readonly { readonly rotation?: number }[];
}

const questions = [
  ...["-of", "json", "-show_entries"],
  "stream=index,codec_type,codec_name,width,height,sample_aspect_ratio,avg_frame_rate,r_frame_rate,duration,color_space" +
    ":stream_disposition=attached_pic:stream_tags=rotate,DURATION:stream_side_data=rotation:format=duration",
];

/**
 * Looks at a file's headers.
 * @throws MediaError naming the file: missing, empty, corrupt, without a picture track, or with frames over `pixelLimit`
 * @throws ConfigError where there is no ffmpeg
 */
export async function probeVideo(
  file: string,
  { pixelLimit = framePixelLimit }: { pixelLimit?: number | undefined } = {},
): Promise<VideoInfo> {
  const text = await askProbe(file, questions);
  const { streams = [], format = {} } = JSON.parse(text) as {
    streams?: Stream[];
    format?: { duration?: string };
  };
  const sound = streams.find(({ codec_type }) => codec_type === "audio")?.codec_name;
  const track = streams.find(
    ({ codec_type, disposition }) => codec_type === "video" && !disposition?.attached_pic,
  );
  if (!track) {
    const held = sound ? "sound only" : "no stream that ffmpeg knows";
    throw new MediaError(file, `has no picture track: it holds ${held}.`);
  }
  const { width = 0, height = 0 } = track;
  if (width * height === 0)
    throw new MediaError(file, "has a picture track without a size: it is damaged or cut short.");
  if (width * height > pixelLimit)
    throw new MediaError(
      file,
      `has frames of ${height} x ${width} pixels, above the limit of ${pixelLimit}. Make it smaller first.`,
    );
  const own = Number(track.duration) || secondsOf(track.tags?.DURATION);
  const told = own || Number(format.duration) || 0;
  const durationS = told > 0 ? told : await measureDuration(file, track.index);
  if (!(durationS > 0)) throw new MediaError(file, "has no frames: it is damaged or cut short.");
  return {
    ...upright(track),
    fps: rateOf(track.avg_frame_rate) ?? rateOf(track.r_frame_rate) ?? 25,
    durationS,
    isDurationOwn: own > 0 || !(told > 0),
    ...(sound ? { sound } : {}),
    stream: track.index,
    // Untagged video of high definition is BT.709, as players take it; ffmpeg would take BT.601.
    colourMatrix:
      (track.color_space ?? "unknown") === "unknown" && height >= 720 ? "bt709" : "auto",
  };
}

/** The end of the last frame by the time stamps of all packets; 0 where there is none. */
async function measureDuration(file: string, stream: number): Promise<number> {
  const text = await askProbe(file, [
    ...["-select_streams", String(stream), "-of", "csv=p=0"],
    ...["-show_entries", "packet=pts_time,duration_time"],
  ]);
  const packets = text.split("\n").map((line) => line.split(",").map(Number));
  const times = packets.filter(([start]) => Number.isFinite(start));
  const starts = times.map(([start]) => start!);
  const first = starts.reduce((least, start) => Math.min(least, start), Infinity);
  const end = times.reduce((most, [start, length]) => Math.max(most, start! + (length || 0)), 0);
  return times.length ? end - first : 0;
}

/** "00:00:02.040000000" of Matroska. */
function secondsOf(text: string | undefined): number {
  const [hours, minutes, seconds] = (text ?? "").split(":").map(Number);
  return seconds === undefined ? 0 : hours! * 3600 + minutes! * 60 + seconds;
}

/** "30000/1001" as a number; undefined for "0/0". */
function rateOf(text: string | undefined): number | undefined {
  const [above = 0, below = 1] = (text ?? "").split("/").map(Number);
  const rate = above / below;
  return rate > 0 && Number.isFinite(rate) ? rate : undefined;
}

/** Turned by its rotation, and as wide as square pixels make it. */
function upright({ width = 0, height = 0, tags, side_data_list = [], ...track }: Stream): Size {
  const [above = 1, below = 1] = (track.sample_aspect_ratio ?? "").split(":").map(Number);
  const stretch = above > 0 && below > 0 ? above / below : 1;
  const wide = Math.max(1, Math.round(width * stretch));
  const turned = side_data_list.find(({ rotation }) => rotation !== undefined)?.rotation;
  const degrees = Math.abs(turned ?? Number(tags?.rotate ?? 0)) % 180;
  return Math.abs(degrees - 90) < 45 ? { height: wide, width: height } : { height, width: wide };
}

/** Frames in `durationS` seconds at `fps`: at least one. */
export function framesAt(durationS: number, fps: number): number {
  return Math.max(1, Math.round(durationS * fps));
}

/** A run of frames at a rate. */
export interface Window {
  readonly frames: number;
  readonly fps: number;
}

/** Where a window starts, seconds: `at` of the way from the first possible start, 0, to the last, 1. */
export function windowStart(durationS: number, { frames, fps }: Window, at: number): number {
  return at * Math.max(0, durationS - frames / fps);
}

/** The starts of `count` windows spread evenly over a video, the first at its start and the last at its end. */
export function uniformStarts(durationS: number, window: Window, count: number): number[] {
  return Array.from({ length: count }, (_, i) =>
    windowStart(durationS, window, count === 1 ? 0.5 : i / (count - 1)),
  );
}
