// Between a canvas's bytes and a model's numbers: RGBA 0..255 row by row, and RGB planes in [-1, 1].

/** What ImageData has: RGBA bytes, row-major. */
export interface Picture {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** float32 [3, H, W] in [-1, 1]; transparency lies on white, as on a page. */
export function planesOf({ data, width, height }: Picture): Float32Array<ArrayBuffer> {
  const size = width * height;
  const planes = new Float32Array(3 * size);
  for (let i = 0; i < size; i++) {
    const alpha = data[4 * i + 3]! / 255;
    for (let colour = 0; colour < 3; colour++) {
      const byte = data[4 * i + colour]! * alpha + 255 * (1 - alpha);
      planes[colour * size + i] = byte / 127.5 - 1;
    }
  }
  return planes;
}

/** The upper left `width` x `height` of planes [3, rows, columns], as RGBA bytes rounded to the nearest. */
export function pictureOf(
  planes: Float32Array,
  { rows, columns }: { rows: number; columns: number },
  { width, height }: { width: number; height: number },
): Picture & { readonly data: Uint8ClampedArray<ArrayBuffer> } {
  const data = new Uint8ClampedArray(4 * width * height).fill(255); // it rounds and clamps
  for (let colour = 0; colour < 3; colour++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const value = planes[(colour * rows + y) * columns + x]!;
        data[4 * (y * width + x) + colour] = (value + 1) * 127.5;
      }
  return { data, width, height };
}
