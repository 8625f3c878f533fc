// ffmpeg and ffprobe as child processes: found, run on files that may be hostile, killed when they hang, and what they
// say when they fail. What they are asked is video-info.ts, video.ts and video-writer.ts.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { ConfigError } from "../config-error.js";
import { MediaError } from "./error.js";

export type Tool = "ffmpeg" | "ffprobe";

/** How long ffmpeg may be silent before it is killed, milliseconds. */
export const defaultTimeoutMs = 60_000;

/** Containers that hold their pictures themselves: a playlist or a list of files would open others. */
const containers =
  "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,live_flv,asf,ogg,gif,h264,hevc,m4v,ivf,yuv4mpegpipe,nut,mxf,dv,rm,swf,wtv";

/** The arguments before `-i` that keep a file from reading anything but itself, and `-i` with its path. */
export function inputArguments(file: string): string[] {
  return [
    ...["-protocol_whitelist", "file,pipe", "-format_whitelist", containers],
    ...["-i", `file:${resolve(file)}`],
  ];
}

/**
 * The path of a tool: FFMPEG_PATH (the program or its folder), else the PATH.
 * @throws ConfigError with the command to install it
 */
export function toolPath(name: Tool): string {
  const given = process.env.FFMPEG_PATH;
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const candidates = given
    ? [...(name === "ffmpeg" ? [given] : []), join(dirname(given), name), join(given, name)]
    : folders.map((folder) => join(folder, name));
  const found = candidates.find(isProgram);
  if (found) return found;
  const place = given ? `FFMPEG_PATH (${given})` : "the PATH or FFMPEG_PATH";
  throw new ConfigError(
    `Expected ${name} for video on ${place}, found none. Install it: sudo apt-get install ffmpeg (macOS: brew install ffmpeg).`,
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether video can be read and written here. */
export function hasFfmpeg(): boolean {
  try {
    return Boolean(toolPath("ffmpeg") && toolPath("ffprobe"));
  } catch {
    return false;
  }
}

/** What ffprobe prints about a file. @throws MediaError naming the file, where it cannot be read */
export function askProbe(file: string, questions: readonly string[]): Promise<string> {
  const args = ["-v", "error", ...questions, ...inputArguments(file)];
  const options = { timeout: defaultTimeoutMs, maxBuffer: 2 ** 28, killSignal: "SIGKILL" as const };
  const path = toolPath("ffprobe");
  return new Promise((done, fail) => {
    execFile(path, args, options, (cause, stdout, stderr) => {
      if (!cause) done(stdout);
      else if (cause.killed) fail(new MediaError(file, silence(defaultTimeoutMs), { cause }));
      else fail(new MediaError(file, `cannot be read as a video: ${reasonIn(stderr)}.`, { cause }));
    });
  });
}

const silence = (timeoutMs: number) =>
  `ffmpeg gave nothing for ${timeoutMs / 1000} s and was stopped.`;

/** The first complaint, without the addresses and paths that ffmpeg puts before it. */
export function reasonIn(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.replace(/^(\[[^\]]*\]\s*)+/, "").trim());
  const line = lines.find(Boolean) ?? "ffmpeg says nothing about it";
  return line.replace(/^file:.*: (?=[A-Z])/, "").replace(/[.:]+$/, "");
}

interface ReadOptions {
  /** Bytes in a piece. */
  readonly length: number;
  readonly timeoutMs?: number | undefined;
}

/** How a process ended. */
interface Ending {
  readonly code: number | null;
  readonly complaint: string;
}

/**
 * Runs ffmpeg and yields what it writes to its standard output, in whole pieces; a last one that is not whole is left out.
 * Returns what it complained of though it went well. Leaving the loop kills it.
 * @throws MediaError where it fails, or is silent for longer than `timeoutMs` while it is waited for
 */
export async function* readPieces(
  file: string,
  args: readonly string[],
  { length, timeoutMs = defaultTimeoutMs }: ReadOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, string> {
  const child = start(args, ["ignore", "pipe", "pipe"]);
  const ending = endOf(child);
  const chunks = child.stdout![Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    let piece = new Uint8Array(length);
    let filled = 0;
    for (;;) {
      const { value: chunk, done } = await inTime(chunks.next(), file, timeoutMs);
      if (done) break;
      for (let at = 0; at < chunk.length; ) {
        const taken = Math.min(chunk.length - at, length - filled);
        piece.set(chunk.subarray(at, at + taken), filled);
        at += taken;
        filled += taken;
        if (filled < length) continue;
        yield piece;
        piece = new Uint8Array(length);
        filled = 0;
      }
    }
    const { code, complaint } = await inTime(ending, file, timeoutMs);
    if (code === 0) return complaint;
    throw new MediaError(file, `cannot be decoded: ${reasonIn(complaint)}.`);
  } finally {
    child.kill("SIGKILL");
    await ending; // no process outlives its reader
  }
}

/**
 * The value, or a MediaError once `timeoutMs` are over. They are counted in steps that this process lives through: while it
 * computes, or sleeps with its machine, ffmpeg cannot be heard, and is not silent.
 */
async function inTime<T>(value: Promise<T>, file: string, timeoutMs: number): Promise<T> {
  let stepsLeft = 20;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    const count = () => --stepsLeft || fail(new MediaError(file, silence(timeoutMs)));
    timer = setInterval(count, timeoutMs / stepsLeft);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearInterval(timer);
  }
}

/** A running ffmpeg that reads from its standard input. */
export interface Sink {
  /** Waits while ffmpeg is busy. @throws MediaError where it has failed */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the input and waits for the end. @throws MediaError */
  finish(): Promise<void>;
  /** Stops it at once. */
  abort(): Promise<void>;
}

/** Starts ffmpeg on raw input that is to become `file`, which errors name. */
export function openSink(file: string, args: readonly string[]): Sink {
  const child = start(args, ["pipe", "ignore", "pipe"]);
  const ending = endOf(child);
  const stdin = child.stdin!;
  stdin.on("error", () => {}); // a broken pipe: the ending says why
  const failure = async (): Promise<MediaError> =>
    new MediaError(file, `cannot be written: ${reasonIn((await ending).complaint)}.`);
  return {
    async write(bytes) {
      const isTaken = await new Promise<boolean>((done) => {
        stdin.write(bytes, (error) => done(!error)); // calls back when the pipe has it: one frame in flight
      });
      if (!isTaken) throw await failure();
    },
    async finish() {
      stdin.end();
      if ((await ending).code !== 0) throw await failure();
    },
    async abort() {
      child.kill("SIGKILL");
      await ending;
    },
  };
}

type Stdio = readonly ["pipe" | "ignore", "pipe" | "ignore", "pipe"];

function start(args: readonly string[], stdio: Stdio): ChildProcess {
  const always = ["-nostdin", "-v", "error", "-hide_banner"];
  return spawn(toolPath("ffmpeg"), [...always, ...args], { stdio: [...stdio] });
}

const complaintLimit = 10_000; // characters: a corrupt film complains of every frame

function endOf(child: ChildProcess): Promise<Ending> {
  let complaint = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    if (complaint.length < complaintLimit) complaint += text;
  });
  return new Promise((done) => {
    child.on("error", ({ message }) => done({ code: null, complaint: message }));
    child.on("close", (code) => done({ code, complaint }));
  });
}
