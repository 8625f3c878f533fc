// Video files made here by ffmpeg, whose frames carry their number as a grey level. Reading is checked against the rule
// of its definition: frame k shows what is on the screen at start + (k + 1/2) / fps, worked out from the time stamps.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import {
  canTestVideo,
  makeVideo,
  numberedClip,
  numbersOf,
  sine,
  turn,
} from "../../test/video-files.js";
import { ConfigError } from "../config-error.js";
import { createClip, frameOf } from "./clip.js";
import { MediaError } from "./error.js";
import { readImage } from "./image.js";
import { readVideo, streamVideo } from "./video.js";
import { probeVideo, uniformStarts, windowStart } from "./video-info.js";
import { openVideoWriter, writeVideo } from "./video-writer.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-video-"));
afterAll(() => rmSync(folder, { recursive: true }));
const here = (name: string) => join(folder, name);
const size = { height: 32, width: 48 };
const isHere = canTestVideo();

/** The numbers on the screen, by the time each frame appears. */
function shown(times: readonly number[], start: number, fps: number, count: number): number[] {
  return Array.from({ length: count }, (_, k) => {
    const now = start + (k + 0.5) / fps;
    return Math.max(0, times.filter((time) => time < now).length - 1);
  });
}

const even = (count: number, fps: number) => Array.from({ length: count }, (_, k) => k / fps);

describe.skipIf(!isHere)("reading", () => {
  const path = here("steady.mp4");
  /** A keyframe every 12 frames and two B-frames: seeks have something to get wrong. */
  const make = () =>
    makeVideo(path, numberedClip(30, size), { args: ["-g", "12", "-bf", "2", "-crf", "10"] });

  it("gives every frame at the file's own rate", async () => {
    make();
    expect(await probeVideo(path)).toMatchObject({ ...size, fps: 10, durationS: 3 });
    const clip = await readVideo(path);
    expect(clip).toMatchObject({ frames: 30, ...size });
    expect(numbersOf(clip)).toEqual(Array.from({ length: 30 }, (_, k) => k));
  });

  it.each([
    ["fewer", 4, 0],
    ["more", 25, 0],
    ["after a start between frames", 10, 0.73],
    ["after a start past a keyframe", 4, 1.31],
    ["close to the end", 8, 2.2],
  ])("shows what was on the screen: %s", async (_, fps, start) => {
    const count = Math.round((3 - start) * fps);
    const clip = await readVideo(path, { fps, start });
    expect(numbersOf(clip)).toEqual(shown(even(30, 10), start, fps, count));
  });

  it("takes a window of exactly the frames asked for, the last one repeated past the end", async () => {
    const window = await readVideo(path, { fps: 5, start: 1, frames: 6 });
    expect(numbersOf(window)).toEqual(shown(even(30, 10), 1, 5, 6));
    expect(numbersOf(await readVideo(path, { frames: 33 })).slice(28)).toEqual([
      28, 29, 29, 29, 29,
    ]);
  });

  it("reads a variable rate by its time stamps", async () => {
    const varied = here("varied.mkv");
    const stamps = "settb=1/1000,setpts='if(lt(N,10),N/5,2+(N-10)/20)/TB'";
    const args = ["-vf", stamps, "-vsync", "vfr", "-enc_time_base", "1:1000"];
    makeVideo(varied, numberedClip(30, size), { args });
    const times = Array.from({ length: 30 }, (_, k) => (k < 10 ? k / 5 : 2 + (k - 10) / 20));
    const clip = await readVideo(varied, { fps: 8, frames: 22 });
    expect(numbersOf(clip)).toEqual(shown(times, 0, 8, 22));
    const late = await readVideo(varied, { fps: 8, start: 1.9, frames: 8 });
    expect(numbersOf(late)).toEqual(shown(times, 1.9, 8, 8));
  });

  it("keeps sound and picture together where the picture begins later", async () => {
    const late = here("late.mp4");
    const args = ["-vf", "setpts=PTS+0.5/TB", "-map", "0:v", "-map", "1:a", "-vsync", "vfr"];
    makeVideo(late, numberedClip(10, size), { inputs: sine(1.5), args });
    const clip = await readVideo(late, { fps: 10, frames: 12 });
    expect(numbersOf(clip)).toEqual([0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
  });

  it("turns, squares pixels, resizes and takes odd sizes", async () => {
    const turned = turn(makeVideo(here("turned.mp4"), numberedClip(3, size)));
    expect(await probeVideo(turned)).toMatchObject({ height: 48, width: 32 });
    expect(await readVideo(turned)).toMatchObject({ frames: 3, height: 48, width: 32 });
    const wide = makeVideo(here("wide.mp4"), numberedClip(3, size), { args: ["-aspect", "3:1"] });
    expect(await readVideo(wide)).toMatchObject({ height: 32, width: 96 });
    const odd = { height: 17, width: 31 };
    expect(await readVideo(path, { size: odd, frames: 2 })).toMatchObject({ frames: 2, ...odd });
    const oddFile = makeVideo(here("odd.avi"), numberedClip(3, odd), { args: ["-c:v", "ffv1"] });
    expect(await readVideo(oddFile)).toMatchObject({ frames: 3, ...odd });
  });

  it("streams the same frames one by one, and stops ffmpeg when left", async () => {
    const whole = await readVideo(path);
    let index = 0;
    for await (const frame of streamVideo(path)) expect(frame).toEqual(frameOf(whole, index++));
    expect(index).toBe(30);
    for await (const frame of streamVideo(path)) {
      expect(frame.frames).toBe(1);
      break;
    }
  });

  it("places windows at the start, the end and evenly between", () => {
    const window = { frames: 16, fps: 8 };
    expect(windowStart(10, window, 1)).toBe(8);
    expect(windowStart(1, window, 0.7)).toBe(0);
    expect(uniformStarts(10, window, 3)).toEqual([0, 4, 8]);
    expect(uniformStarts(10, window, 1)).toEqual([4]);
  });
});

describe.skipIf(!isHere)("files at fault", () => {
  const whole = () =>
    makeVideo(here("whole.mp4"), noise(40), { args: ["-movflags", "+faststart"] });
  /** Frames that compress badly, so that a cut or a blot hits pictures. */
  const noise = (frames: number) => {
    const bytes = new Uint8Array(frames * 64 * 64 * 3);
    let x = 1;
    for (let i = 0; i < bytes.length; i++) {
      x = (x * 48271) % 2147483647;
      bytes[i] = x >> 8;
    }
    return createClip(bytes, { frames, height: 64, width: 64 });
  };

  const fault = async (name: string, content: Buffer | undefined) => {
    if (content) writeFileSync(here(name), content);
    return readVideo(here(name)).then(
      () => "no error",
      (error: unknown) => {
        expect(error).toBeInstanceOf(MediaError);
        return (error as Error).message.replace(`${here(name)}: `, "");
      },
    );
  };

  it("are named with what is wrong", async () => {
    const bytes = readFileSync(whole());
    const middle = bytes.length >> 1;
    expect(await fault("missing.mp4", undefined)).toMatch(
      /^cannot be read as a video: No such file/,
    );
    expect(await fault("empty.mp4", Buffer.alloc(0))).toMatch(/^cannot be read as a video/);
    expect(await fault("text.mp4", Buffer.from("not a video\n"))).toMatch(
      /cannot be read as a video/,
    );
    expect(await fault("cut.mp4", bytes.subarray(0, middle))).toMatch(
      /cut short or damaged|cannot be decoded/,
    );
    expect(await fault("headless.mp4", bytes.subarray(middle))).toMatch(/cannot be read/);
    const blotted = Buffer.from(bytes);
    blotted.fill(0x5a, middle, middle + 3000);
    expect(await fault("blotted.mp4", blotted)).toMatch(/cannot be decoded|cut short or damaged/);
    makeVideo(here("sound.m4a"), numberedClip(1, size), { inputs: sine(1), args: ["-map", "1:a"] });
    expect(await fault("sound.m4a", undefined)).toBe("has no picture track: it holds sound only.");
  });

  it("are found cut short in a container without an index, too", async () => {
    const path = makeVideo(here("live.mkv"), noise(40));
    const bytes = readFileSync(path);
    expect(await fault("live-cut.mkv", bytes.subarray(0, bytes.length / 2))).toMatch(/cut short/);
  });

  it("cannot open other files", async () => {
    const list = `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:${whole()}\n#EXT-X-ENDLIST\n`;
    expect(await fault("list.m3u8", Buffer.from(list))).toMatch(/cannot be read as a video/);
    expect(await fault("list.mp4", Buffer.from(list))).toMatch(/cannot be read as a video/);
    const concat = `ffconcat version 1.0\nfile ${whole()}\n`;
    expect(await fault("concat.mp4", Buffer.from(concat))).toMatch(/cannot be read as a video/);
  });

  it("are refused by the size of their frames, or of the clip in memory", async () => {
    whole();
    await expect(readVideo(here("whole.mp4"), { pixelLimit: 4000 })).rejects.toThrow(
      "has frames of 64 x 64 pixels, above the limit of 4000",
    );
    await expect(readVideo(here("whole.mp4"), { frames: 1e6 })).rejects.toThrow("stream it");
    await expect(readVideo(here("whole.mp4"), { start: 99 })).rejects.toThrow(
      "before the start 99",
    );
    await expect(readVideo(here("whole.mp4"), { fps: 0 })).rejects.toThrow("above 0 for fps");
  });

  it("are given up when ffmpeg hangs, or is not there", async () => {
    whole();
    const idle = here("idle");
    writeFileSync(idle, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    const info = await probeVideo(here("whole.mp4"));
    vi.stubEnv("FFMPEG_PATH", idle);
    await expect(readVideo(here("whole.mp4"), { info, timeoutMs: 50 })).rejects.toThrow(
      "gave nothing for 0.05 s and was stopped",
    );
    vi.stubEnv("FFMPEG_PATH", "");
    vi.stubEnv("PATH", folder);
    const absent = await probeVideo(here("whole.mp4")).catch((error: unknown) => error);
    vi.unstubAllEnvs();
    expect(absent).toBeInstanceOf(ConfigError);
    expect((absent as Error).message).toContain("sudo apt-get install ffmpeg");
  });
});

describe.skipIf(!isHere)("writing", () => {
  it("gives back an MP4 of the same frames, rate, colours and, on request, sound", async () => {
    const clip = numberedClip(12, size);
    for (let i = 0; i < clip.bytes.length; i += 3) clip.bytes[i] = 200; // a red that tells the matrices apart
    const source = makeVideo(here("with-sound.mkv"), clip, {
      inputs: sine(1.2),
      args: ["-c:a", "libmp3lame"],
    });
    const sound = { file: source, codec: (await probeVideo(source)).sound! };
    const path = here("copy.mp4");
    await writeVideo(path, clip, { fps: 12, crf: 1, sound });
    expect(await probeVideo(path)).toMatchObject({ ...size, fps: 12, durationS: 1, sound: "mp3" });
    const back = await readVideo(path);
    expect(back.frames).toBe(12);
    const errors = back.bytes.map((value, i) => Math.abs(value - clip.bytes[i]!));
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(2);
  });

  it("makes sound that MP4 cannot hold into AAC", async () => {
    const [clip, path] = [numberedClip(12, size), here("other-sound.mp4")];
    const args = ["-c:a", "flac"];
    const file = makeVideo(here("flac.mkv"), clip, { inputs: sine(1.2), args });
    await writeVideo(path, clip, { fps: 12, sound: { file, codec: "flac" } });
    expect(await probeVideo(path)).toMatchObject({ sound: "aac" });
  });

  it("repeats the last row and column of an odd size in an MP4, and keeps it in a GIF", async () => {
    const odd = numberedClip(4, { height: 17, width: 31 });
    await writeVideo(here("odd.mp4"), odd, { fps: 10 });
    const back = await readVideo(here("odd.mp4"));
    expect(back).toMatchObject({ frames: 4, height: 18, width: 32 });
    expect(Math.abs(back.bytes.at(-1)! - odd.bytes.at(-1)!)).toBeLessThan(4);
    await writeVideo(here("odd.gif"), odd, { fps: 10 });
    expect(await readVideo(here("odd.gif"))).toMatchObject({ frames: 4, height: 17, width: 31 });
  });

  it("writes a folder of frames without loss, and never over another folder", async () => {
    const clip = numberedClip(3, size);
    for (const _ of [1, 2]) await writeVideo(here("frames"), clip, { fps: 10 });
    expect(readdirSync(here("frames"))).toEqual(["0001.png", "0002.png", "0003.png"]);
    expect(await readImage(here("frames/0002.png"))).toEqual(frameOf(clip, 1));
    writeFileSync(here("frames/notes.txt"), "mine");
    await expect(writeVideo(here("frames"), clip, { fps: 10 })).rejects.toThrow("notes.txt");
  });

  it("leaves nothing behind when it is given up or fails", async () => {
    const before = readdirSync(folder).length;
    const writer = openVideoWriter(here("given-up.mp4"), { fps: 10, ...size });
    await writer.write(numberedClip(2, size));
    await writer.abort();
    const empty = openVideoWriter(here("none.mp4"), { fps: 10, ...size });
    await expect(empty.close()).rejects.toThrow("received none");
    const sound = { file: here("nowhere.wav"), codec: "aac" };
    const failed = writeVideo(here("failed.mp4"), numberedClip(200, size), { fps: 10, sound });
    await expect(failed).rejects.toThrow(/failed.mp4: cannot be written: .*No such file/);
    expect(() => openVideoWriter(here("x.mov"), { fps: 10, ...size })).toThrow(".mp4, .gif");
    expect(readdirSync(folder)).toHaveLength(before);
  });
});
