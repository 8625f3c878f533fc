// Between a canvas's bytes and a model's numbers: RGBA 0..255 row by row, and RGB planes in [-1, 1].

/** What ImageData has: RGBA bytes, row-major. */
export interface Picture {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** float32 [3, T, H, W] in [-1, 1] of pictures of one size; transparency lies on white, as on a page. */
export function planesOf(frames: readonly Picture[]): Float32Array<ArrayBuffer> {
  const size = frames[0]!.width * frames[0]!.height;
  const planes = new Float32Array(3 * frames.length * size);
  for (const [t, { data }] of frames.entries())
    for (let i = 0; i < size; i++) {
      const alpha = data[4 * i + 3]! / 255;
      for (let colour = 0; colour < 3; colour++) {
        const byte = data[4 * i + colour]! * alpha + 255 * (1 - alpha);
        planes[(colour * frames.length + t) * size + i] = byte / 127.5 - 1;
      }
    }
  return planes;
}

/** Planes [3, frames, rows, columns], and which frame of them. */
export interface PlaneShape {
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
  readonly frame: number;
}

/** The upper left `width` x `height` of a frame, as RGBA bytes rounded to the nearest. */
export function pictureOf(
  planes: Float32Array,
  { frames, rows, columns, frame }: PlaneShape,
  { width, height }: { width: number; height: number },
): Picture & { readonly data: Uint8ClampedArray<ArrayBuffer> } {
  const data = new Uint8ClampedArray(4 * width * height).fill(255); // it rounds and clamps
  for (let colour = 0; colour < 3; colour++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const value = planes[((colour * frames + frame) * rows + y) * columns + x]!;
        data[4 * (y * width + x) + colour] = (value + 1) * 127.5;
      }
  return { data, width, height };
}
