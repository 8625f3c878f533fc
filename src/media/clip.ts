// A clip: the bytes of a picture or a video, the first of the project's five nouns. An image is a clip
// of one frame. Bytes only: pixels in [-1, 1] begin at data/batch.ts, files at image.ts and video.ts.

/** RGB bytes, [frames, height, width, 3] row-major, sRGB, 0..255. */
export interface Clip {
  readonly bytes: Uint8Array;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

export interface Size {
  readonly height: number;
  readonly width: number;
}

/** A rectangle of whole pixels inside a picture. */
export interface Box extends Size {
  readonly top: number;
  readonly left: number;
}

/** Wraps RGB bytes [frames, height, width, 3] without copying; RangeError where their number is wrong. */
export function createClip(bytes: Uint8Array, shape: Size & { frames?: number }): Clip {
  const { height, width, frames = 1 } = shape;
  const expected = frames * height * width * 3;
  if (bytes.length !== expected || expected === 0) {
    throw new RangeError(
      `Expected ${expected} bytes for a clip of ${frames} x ${height} x ${width} x 3, received ` +
        `${bytes.length}. Pass RGB bytes of at least one pixel.`,
    );
  }
  return { bytes, frames, height, width };
}

/** Frame `index` of a clip as a clip of one frame; it shares the clip's memory. */
export function frameOf(clip: Clip, index: number): Clip {
  const { height, width, frames } = clip;
  if (!Number.isInteger(index) || index < 0 || index >= frames) {
    throw new RangeError(`Expected 0..${frames - 1} for frame, received ${index}. Count from 0.`);
  }
  const length = height * width * 3;
  const bytes = clip.bytes.subarray(index * length, (index + 1) * length);
  return { bytes, frames: 1, height, width };
}

/** Joins clips of one size along time. */
export function joinFrames(clips: readonly Clip[]): Clip {
  const first = sameSize(clips);
  if (clips.length === 1) return first;
  const frames = clips.reduce((sum, clip) => sum + clip.frames, 0);
  const bytes = new Uint8Array(frames * first.height * first.width * 3);
  let offset = 0;
  for (const clip of clips) {
    bytes.set(clip.bytes, offset);
    offset += clip.bytes.length;
  }
  return { bytes, frames, height: first.height, width: first.width };
}

/** The first of the clips, once all are known to have its height and width. */
export function sameSize(clips: readonly Clip[]): Clip {
  const first = clips[0];
  if (!first) throw new RangeError("Expected at least one clip, received none.");
  const other = clips.find(({ height, width }) => height !== first.height || width !== first.width);
  if (other) {
    throw new RangeError(
      `Expected clips of ${first.height} x ${first.width}, received one of ` +
        `${other.height} x ${other.width}. Crop them to one size first.`,
    );
  }
  return first;
}
