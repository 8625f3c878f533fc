// Other people's tokenizers from the command line: scores, pictures through them and back, to latents and back, and what is
// refused. PSNR against the model's own pictures, within 1e-6 dB; that the models are right is formats/baselines.test.ts.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bytesOf, pixelsOf } from "../data/batch.js";
import { drawPicture } from "../data/drawn.js";
import { Loader } from "../data/loader.js";
import { openSource } from "../data/source.js";
import { AutoencoderKl } from "../formats/autoencoder-kl.js";
import { readImage, writeImage } from "../media/image.js";
import { scope } from "../torch/index.js";

const root = mkdtempSync(join(tmpdir(), "vitok-baseline-commands-"));
afterAll(() => rmSync(root, { recursive: true }));
const main = fileURLToPath(new URL("main.ts", import.meta.url));
const fixture = (name: string) =>
  fileURLToPath(new URL(`../../test/fixtures/baselines/${name}`, import.meta.url));
const picture = join(root, "picture.png");
beforeAll(() => writeImage(picture, drawPicture([1], 20)));

function vitok(...line: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ["--import", "tsx", main, ...line, "--device", "cpu"], {
    encoding: "utf8",
  });
}

it("encode and decode to what reconstruct gives", async () => {
  const [latents, decoded, recon] = [join(root, "x.safetensors"), join(root, "d"), join(root, "r")];
  const ran = [
    vitok("encode", fixture("sd"), picture, "--out", latents),
    vitok("decode", fixture("sd"), latents, "--out", decoded),
    vitok("reconstruct", fixture("sd"), picture, "--out", recon),
  ];
  expect(ran.map(({ status, stderr }) => [status, status ? stderr : ""])).toEqual(
    Array(3).fill([0, ""]),
  );
  const [a, b] = [
    await readImage(join(decoded, "picture.png")),
    await readImage(join(recon, "picture.png")),
  ];
  expect(a).toMatchObject({ height: 20, width: 20 });
  expect(a).toEqual(b);
});

it("refuse another's latents, and what only a Masked ViTok can", () => {
  const latents = join(root, "x.safetensors");
  const other = vitok("decode", fixture("vitok-v2"), latents, "--out", join(root, "other"));
  expect(other.status).toBe(1);
  expect(other.stderr).toContain("Expected 6 channels, as the model has");
  const keep = vitok(
    "reconstruct",
    fixture("sd"),
    picture,
    "--keep",
    "3",
    "--out",
    join(root, "k"),
  );
  expect(keep.status).toBe(1);
  expect(keep.stderr).toContain("Leave keep out");
});

const data = "drawn:val?count=3&size=40";

function evaluate(name: string): { metrics: Record<string, number>; variant: string } {
  const asked = ["--data", data, "--size", "36", "--metrics", "psnr", "--out", join(root, name)];
  const { stdout, stderr, status } = vitok("evaluate", fixture(name), ...asked, "--json");
  expect({ status, stderr: status ? stderr : "" }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout);
}

async function psnrHere(): Promise<number> {
  const model = AutoencoderKl.load(fixture("sd"));
  const loader = new Loader(await openSource(data), { batchSize: 1, size: 36, augment: false });
  let sum = 0;
  for await (const batch of loader) {
    const recon = scope(() => {
      const { mean, grid, size } = model.encode(pixelsOf(batch));
      return bytesOf(model.decode(mean, grid, { size }));
    });
    const error = recon.reduce((total, byte, i) => total + (byte - batch.bytes[i]!) ** 2, 0);
    sum += 10 * Math.log10(255 ** 2 / (error / recon.length));
  }
  model.dispose();
  return sum / 3;
}

it("are scored like a model of ours, and compared", async () => {
  const sd = evaluate("sd");
  expect(sd).toMatchObject({ variant: "AutoencoderKL f4 c4" });
  expect(Math.abs(sd.metrics.PSNR! - (await psnrHere()))).toBeLessThan(1e-6);
  expect(evaluate("vitok-v2")).toMatchObject({ variant: "ViTok-v2 w16_d2_h2-w24_d3_h3/1x4x6" });
  const files = ["sd", "vitok-v2"].map((name) => join(root, name, "scores.json"));
  const compared = spawnSync(
    process.execPath,
    ["--import", "tsx", main, "compare", ...files, "--json"],
    { encoding: "utf8" },
  );
  expect(compared.status).toBe(0);
  expect(compared.stdout).toContain("PSNR");
});
