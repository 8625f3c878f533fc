// Other people's tokenizers from the command line: pictures through them and back, to latents and back, and what is refused.
// That the models are right is formats/baselines.test.ts.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { drawPicture } from "../data/drawn.js";
import { readImage, writeImage } from "../media/image.js";

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
