// Makes docs/images/demo.png, the README's picture, from the demo's model and drawn pictures that it was not trained on.
//   npm run demo && npx tsx scripts/make-readme-picture.ts [MODEL]
// Not chosen by hand: of the validation pictures ordered by PSNR, those at the 10th, 30th, 50th, 70th and 90th percentile.

import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { batchOf, clipsOf, pixelsOf } from "../src/data/batch.js";
import { openSource } from "../src/data/source.js";
import { scorePair } from "../src/evaluate/pair.js";
import { differenceOf } from "../src/evaluate/report-pictures.js";
import type { Clip } from "../src/media/clip.js";
import { rawImage, tile } from "../src/media/image.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { scope } from "../src/torch/index.js";

const percentiles = [10, 30, 50, 70, 90];
const scale = 3;
const gap = 4;
/** Of the difference, around mid-grey. */
const gain = 4;
/** Room for the rows' names at the left and the columns' PSNR at the top, pixels. */
const margin = { left: 124, top: 34 };

interface Pair {
  readonly original: Clip;
  readonly recon: Clip;
  readonly psnr: number;
}

async function reconstructAll(model: string): Promise<Pair[]> {
  const source = await openSource("drawn:val?count=64&size=64");
  const originals = await Promise.all(
    Array.from({ length: source.length }, (_, index) => source.load(index)),
  );
  const tokenizer = await Tokenizer.load(model);
  const recons = scope(() => clipsOf(tokenizer.reconstruct(pixelsOf(batchOf(originals)))));
  tokenizer.dispose();
  return originals.map((original, index) => {
    const recon = recons[index]!;
    return { original, recon, psnr: scorePair(original, recon).PSNR };
  });
}

/** Rows: original, reconstruction, difference. Enlarged without smoothing, so that a pixel stays one. */
async function drawSheet(pairs: readonly Pair[]): Promise<Buffer> {
  const rows = [
    ...pairs.map(({ original }) => original),
    ...pairs.map(({ recon }) => recon),
    ...pairs.map(({ original, recon }) => differenceOf(original, recon, gain)),
  ];
  const large = await Promise.all(rows.map(enlarge));
  const sheet = tile(large, pairs.length, { gap });
  const [width, height] = [sheet.width + margin.left, sheet.height + margin.top];
  return sharp({ create: { width, height, channels: 3, background: "white" } })
    .composite([
      { input: await rawImage(sheet).png().toBuffer(), left: margin.left, top: margin.top },
      { input: Buffer.from(labels(pairs, { width, height })) },
    ])
    .png({ compressionLevel: 9 })
    .toBuffer();
}

async function enlarge(clip: Clip): Promise<Clip> {
  const [height, width] = [clip.height * scale, clip.width * scale];
  const bytes = await rawImage(clip).resize(width, height, { kernel: "nearest" }).raw().toBuffer();
  return { bytes: new Uint8Array(bytes), frames: 1, height, width };
}

function labels(pairs: readonly Pair[], { width, height }: { width: number; height: number }) {
  const side = pairs[0]!.original.height * scale;
  const centre = (place: number) => place * (side + gap) + side / 2;
  const columns = pairs.map(
    ({ psnr }, column) =>
      `<text x="${margin.left + centre(column)}" y="22" text-anchor="middle">${psnr.toFixed(1)} dB</text>`,
  );
  const rows = ["original", "reconstruction", `difference × ${gain}`].map(
    (name, row) =>
      `<text x="${margin.left - 10}" y="${margin.top + centre(row) + 5}" text-anchor="end">${name}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="DejaVu Sans, Arial, sans-serif" font-size="14" fill="#333">${[...columns, ...rows].join("")}</svg>`;
}

const [model = "runs/demo/model"] = process.argv.slice(2);
const pairs = (await reconstructAll(model)).sort((a, b) => a.psnr - b.psnr);
const shown = percentiles.map((share) => pairs[Math.floor((share / 100) * pairs.length)]!);
const path = fileURLToPath(new URL("../docs/images/demo.png", import.meta.url));
await sharp(await drawSheet(shown)).toFile(path);
const mean = pairs.reduce((sum, { psnr }) => sum + psnr, 0) / pairs.length;
console.log(`${path}: mean of all ${pairs.length} pictures ${mean.toFixed(2)} dB`);
