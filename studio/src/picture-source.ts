// What people bring to the studio: pictures and clips, shrunk to a side that is computed in seconds, and one that is drawn.
import type { Frames } from "./session.js";

/** A clip is taken at this rate, and no longer than this. */
export const clipRate = 8; // frames a second
export const clipFrames = 16;

/** Reads a picture or clip and shrinks it to at most `side` pixels along its longer side. */
export async function openFile(file: Blob, side: number): Promise<Frames> {
  return file.type.startsWith("video/") ? openVideo(file, side) : [await openPicture(file, side)];
}

async function openPicture(file: Blob, side: number): Promise<ImageData> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error("Expected a picture the browser can read, received another file.");
  });
  const picture = shrink(bitmap, bitmap, side);
  bitmap.close();
  return picture;
}

/** The frames that are on the screen in the middle of each eighth of a second, from the start. */
async function openVideo(file: Blob, side: number): Promise<Frames> {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, preload: "auto", src: URL.createObjectURL(file) });
  try {
    await when(video, "loadeddata");
    const { videoWidth: width, videoHeight: height, duration } = video;
    const count = Math.max(1, Math.min(clipFrames, Math.floor(duration * clipRate)));
    const frames: ImageData[] = [];
    for (let k = 0; k < count; k++) {
      video.currentTime = Math.min((k + 0.5) / clipRate, duration);
      await when(video, "seeked");
      frames.push(shrink(video, { width, height }, side));
    }
    return frames;
  } finally {
    URL.revokeObjectURL(video.src);
  }
}

function when(video: HTMLVideoElement, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    video.addEventListener(name, () => resolve(), { once: true });
    const fail = () =>
      reject(new Error("Expected a clip the browser can play, received another file."));
    video.addEventListener("error", fail, { once: true });
  });
}

function shrink(
  source: CanvasImageSource,
  { width, height }: { width: number; height: number },
  side: number,
): ImageData {
  const scale = Math.min(1, side / Math.max(width, height));
  const [columns, rows] = [width, height].map((n) => Math.max(1, Math.round(n * scale)));
  const context = new OffscreenCanvas(columns!, rows!).getContext("2d", {
    willReadFrequently: true,
  })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, columns!, rows!);
  return context.getImageData(0, 0, columns!, rows!);
}

/** A drawn landscape: something to look at before the first file. */
export function drawnPicture(side: number): ImageData {
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true })!;
  const unit = side / 100;
  const sky = context.createLinearGradient(0, 0, 0, side);
  sky.addColorStop(0, "#25386b");
  sky.addColorStop(0.5, "#e6877a");
  sky.addColorStop(0.75, "#f6d29a");
  context.fillStyle = sky;
  context.fillRect(0, 0, side, side);
  context.fillStyle = "#fff3cf";
  disc(context, [68 * unit, 38 * unit], 9 * unit);
  for (const [height, colour] of [
    [62, "#5b4a7d"],
    [72, "#3a3a68"],
    [84, "#1f2b4d"],
  ] as const) {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, side);
    for (let x = 0; x <= 100; x++) {
      const y =
        height - 9 * Math.sin(x / (140 / height) / 6 + height) - 3 * Math.sin(x / 3.1 + height);
      context.lineTo(x * unit, y * unit);
    }
    context.lineTo(side, side);
    context.fill();
  }
  return context.getImageData(0, 0, side, side);
}

function disc(
  context: OffscreenCanvasRenderingContext2D,
  [x, y]: readonly [number, number],
  radius: number,
): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
