// The studio in Chromium: the bundle as Vite makes it, random models as `vitok studio` exports them, a service beside it, and
// pictures and clips that are brought in. The browser's PSNR must be libtorch's within 0.01 dB, at full code and at few kept
// tokens, computed by the browser or by the service. Skipped, with a line that says so, where there is no Chromium
// (CHROMIUM_PATH, or Debian's package); the clip also where there is no ffmpeg.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { findStudies } from "../src/cli/studio-studies.js";
import { decodeLatent } from "../src/codec/decode.js";
import { encodeClip } from "../src/codec/encode.js";
import { exportOnnx } from "../src/export/onnx.js";
import { createClip } from "../src/media/clip.js";
import { encodeImage } from "../src/media/image.js";
import { type Service, startService } from "../src/serve/server.js";
import { type Studio, startStudio } from "../src/serve/studio.js";
import { defineConfig } from "../src/tokenizer/config.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { scope } from "../src/torch/index.js";
import { saveTinyGenerator } from "./tiny-generator.js";
import { saveStudy } from "./tiny-study.js";
import { canTestVideo, makeVideo, numberedClip } from "./video-files.js";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // a browser on a busy machine
const scratch = mkdtempSync(join(tmpdir(), "vitok-studio-test-"));
const executablePath = [process.env.CHROMIUM_PATH, "/usr/bin/chromium"].find(
  (path) => path && existsSync(path),
);
const obstacle = executablePath ? undefined : "no Chromium: apt-get install chromium";
beforeEach(({ skip }) => skip(obstacle !== undefined, obstacle));

const tower = { width: 48, depth: 1, heads: 2 };
const tokenizer = Tokenizer.create(
  defineConfig({
    ...{ encoder: tower, decoder: tower, patchSize: 8, tubeletSize: 1 },
    ...{ channels: 4, latentTokens: 0, maskable: true },
  }),
  { seed: 8 },
);
/** Waves, 100 wide and 75 high: no multiple of the patch. */
const [width, height] = [100, 75];
const clip = createClip(
  Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [colour, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return 128 + 90 * Math.sin(x / 9 + colour) * Math.cos(y / (7 + colour));
  }),
  { height, width },
);
const file = join(scratch, "waves.png");

/** What libtorch's reconstruction scores. */
function psnrOf(keep?: number): number {
  const recon = scope(() => {
    const latent = { ...encodeClip(tokenizer, clip), source: "test" };
    return decodeLatent(tokenizer, latent, { keep });
  });
  const mse = clip.bytes.reduce((sum, byte, i) => sum + (byte - recon.bytes[i]!) ** 2, 0);
  return 10 * Math.log10(255 ** 2 / (mse / clip.bytes.length));
}

let browser: Browser;
let studio: Studio;
let service: Service;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  if (!executablePath) return;
  const app = join(scratch, "app");
  const configFile = fileURLToPath(new URL("../studio/vite.config.ts", import.meta.url));
  await build({ configFile, logLevel: "warn", build: { outDir: app } });
  const folder = join(scratch, "onnx");
  exportOnnx(tokenizer, folder);
  writeFileSync(file, await encodeImage(clip, "png"));
  const steps = [10, 20, 30].map((step) => ({ step, terms: { mse: 1 / step } }));
  tokenizer.save(join(scratch, "tiny"));
  saveStudy(join(scratch, "studies", "fig3-mini"));
  await saveTinyGenerator(join(scratch, "dit"), join(scratch, "tokenizer"));
  service = await startService({
    models: ["tiny", "dit"].map((name) => ({ name, folder: join(scratch, name) })),
    ...{ device: "cpu", precision: "float32", port: 0, token: "secret" },
  });
  const run = { name: "runs/a", state: "running", variant: "Ti-Ti/8", steps, grids: [file] };
  studio = await startStudio({
    ...{ port: 0, app, models: [{ name: "tiny", folder, variant: "tiny" }] },
    runtime: dirname(createRequire(import.meta.url).resolve("onnxruntime-web")),
    runs: () => [{ ...run, scores: { PSNR: 25.5 } }],
    studies: () => findStudies(join(scratch, "studies")),
    service: { url: service.url, token: "secret" },
  });
  browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu"],
    timeout: 0,
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(0); // the tests' own limit is enough
  page.on("pageerror", ({ message }) => complaints.push(message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(studio.url);
});
afterAll(async () => {
  await browser?.close();
  await studio?.close();
  await service?.close();
  tokenizer.dispose();
  rmSync(scratch, { recursive: true });
});

const ready = () => page.locator(".state[data-state=ready]").waitFor({ timeout: 280_000 });
const score = async (name: string) =>
  Number.parseFloat((await page.locator(`[data-score=${name}]`).textContent())!);
const sizeText = () => page.locator("[data-score=Size]").textContent();

describe("the studio", () => {
  test("opens with a drawn picture and its reconstruction", async () => {
    await ready();
    expect(await sizeText()).toBe("256 × 256");
    expect(await page.evaluate("crossOriginIsolated")).toBe(true);
  });

  test("scores a picture as libtorch does", async () => {
    await page.locator("input[type=file]").setInputFiles(file);
    await page.getByText(`${width} × ${height}`).waitFor();
    await ready();
    expect(Math.abs((await score("PSNR")) - psnrOf())).toBeLessThan(0.01);
    expect(await score("Compression")).toBeCloseTo((3 * width * height) / (13 * 10 * 4), 1);
  });

  test("shows how it changes with fewer tokens", async () => {
    const slider = page.locator(".keep input");
    await slider.focus();
    await slider.press("Home"); // one token
    await page.getByText("Kept tokens: 1 of 130").waitFor();
    await expect
      .poll(async () => Math.abs((await score("PSNR")) - psnrOf(1)), { timeout: 280_000 })
      .toBeLessThan(0.01);
    expect(Math.abs(psnrOf(1) - psnrOf())).toBeGreaterThan(0.05);
  });

  test("moves the slider by keys and by pointer", async () => {
    const left = () => page.locator(".bar").evaluate((bar: HTMLElement) => bar.style.left);
    const slider = page.locator(".compare > input");
    await slider.focus();
    await slider.press("End");
    expect(await left()).toBe("100%");
    await slider.press("ArrowLeft");
    expect(await left()).toBe("99%");
    const box = (await page.locator(".frame").boundingBox())!;
    await page.mouse.move(box.x + box.width / 4, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.up();
    expect(Number.parseFloat(await left())).toBeCloseTo(25, 0);
  });

  test("draws difference and latent, and another picture for each", async () => {
    const pixels = () =>
      page
        .locator("[data-picture=other]")
        .evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
    const seen = new Set([await pixels()]);
    for (const name of ["Difference × 4", "Latent"]) {
      await page.getByLabel(name).check();
      seen.add(await pixels());
    }
    expect(seen.size).toBe(3);
  });

  test("shows what a model on the service makes of it beside the browser's", async () => {
    await page.locator("input[type=file]").setInputFiles(file);
    await page
      .getByLabel("Beside it")
      .selectOption({ label: "tiny · Sw48d1h2-Sw48d1h2/1x8x4 · server" });
    await expect
      .poll(() => page.locator(".state[data-state=ready]").count(), { timeout: 280_000 })
      .toBe(2);
    const scores = await page.locator("[data-score=PSNR]").allTextContents();
    const keptOne = psnrOf(1); // the browser's model is still asked for one token
    expect(scores.map(Number.parseFloat)).toEqual([
      expect.closeTo(keptOne, 1),
      expect.closeTo(psnrOf(), 1),
    ]);
    await page.getByLabel("Beside it").selectOption("");
  });

  test("takes a clip apart into frames, each of them scored", async ({ skip }) => {
    skip(!canTestVideo(), "no ffmpeg");
    const film = join(scratch, "film.mp4");
    makeVideo(film, numberedClip(8, { height: 64, width: 64 }), { args: ["-pix_fmt", "yuv420p"] });
    await page.locator("input[type=file]").setInputFiles(film);
    await page.locator(".frames").getByText("Frame 1 of 6").waitFor(); // 0.8 s at 8 frames a second
    await ready();
    const grey = () =>
      page
        .locator("[data-picture=original]")
        .evaluate(
          (canvas: HTMLCanvasElement) =>
            canvas.getContext("2d")!.getImageData(32, 32, 1, 1).data[0]!,
        );
    const numbers = [];
    const frames = page.getByLabel(/Frame/);
    await frames.focus();
    for (let k = 0; k < 6; k++) {
      numbers.push(Math.round((await grey()) / 8));
      await frames.press("ArrowRight");
    }
    expect(numbers).toEqual([0, 1, 3, 4, 5, 6]); // on the screen at (k + 1/2) / 8 s, at 10 frames a second
    expect(await sizeText()).toBe("6 × 64 × 64");
    expect(await page.locator("dd.hint").first().textContent()).toMatch(
      /of this frame; .* over all/,
    );
    await page.locator("input[type=file]").setInputFiles(file);
    await page.getByText(`${width} × ${height}`).waitFor();
    await ready();
  });

  test("makes samples of a generator of the service", async () => {
    await page.getByRole("button", { name: "Samples" }).click();
    await page.getByLabel("Class").selectOption("cone");
    await page.getByLabel("Steps").fill("2");
    await page.getByRole("button", { name: "Make them" }).click();
    await page.getByText(/^4 samples in/).waitFor();
    const images = page.locator(".grid img");
    expect(await images.count()).toBe(4);
    const side = () => images.first().evaluate((image: HTMLImageElement) => image.naturalWidth);
    await expect.poll(side).toBe(16);
    await page.getByRole("button", { name: "Picture" }).click();
  });

  test("says what is wrong with a file that is no picture", async () => {
    const other = join(scratch, "notes.txt");
    writeFileSync(other, "no picture");
    await page.locator("input[type=file]").setInputFiles(other);
    await page.getByText("Expected a picture the browser can read").waitFor();
  });

  test("fits a phone without scrolling sideways", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
    expect(overflow).toBeLessThanOrEqual(0);
  });

  test("draws the runs' curves", async () => {
    await page.getByRole("button", { name: "Runs" }).click();
    await page.getByText("runs/a").waitFor();
    await page.locator("polyline").first().waitFor({ state: "attached" });
    const grid = page.getByAltText("Originals above, reconstructions below");
    await expect
      .poll(() => grid.evaluate((image: HTMLImageElement) => image.naturalWidth))
      .toBe(width);
  });

  test("shows a study's verdicts, figures and points", async () => {
    await page.getByRole("button", { name: "Studies" }).click();
    await page.getByText("E predicts reconstruction").waitFor();
    expect(await page.locator("[data-verdict=holds]").count()).toBe(1);
    expect(await page.locator("td").allTextContents()).toEqual(["8", "4096", "27.31"]);
    const figure = page.locator(".drawn img");
    await expect
      .poll(() => figure.evaluate((image: HTMLImageElement) => image.naturalWidth))
      .toBe(40);
    const link = await page.getByText("the whole page").getAttribute("href");
    expect(await (await fetch(studio.url + link)).text()).toBe("<p>all of it</p>");
    expect((await fetch(`${studio.url}/studies/0/1.svg`)).status).toBe(404);
  });

  test("meets no error on the way", () => {
    expect(complaints).toEqual([]);
  });

  test("bundles no libtorch and nothing of Node", () => {
    const assets = join(scratch, "app", "assets");
    const scripts = readdirSync(assets).filter((name) => name.endsWith(".js"));
    const text = scripts.map((name) => readFileSync(join(assets, name), "utf8")).join("\n");
    expect(text).not.toMatch(/libtorch|node:fs|node:worker_threads/);
  });
});
