// Pictures for the studio: files that people bring, shrunk to a side the browser computes in seconds, and one that is drawn.

/** Reads a picture file and shrinks it to at most `side` pixels along its longer side. */
export async function openPicture(file: Blob, side: number): Promise<ImageData> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error("Expected a picture the browser can read, received another file.");
  });
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((n) =>
    Math.max(1, Math.round(n * scale)),
  );
  const canvas = new OffscreenCanvas(width!, height!);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width!, height!);
  bitmap.close();
  return context.getImageData(0, 0, width!, height!);
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
