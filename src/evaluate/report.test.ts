// The report's page: what a reader needs is in it, nothing is fetched, and nothing in it can run.
// Differences are checked against the formula, to the byte.

import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { Clip } from "../media/clip.js";
import { drawChart } from "./charts.js";
import { type ReportData, renderReport, writeReport } from "./report.js";
import { differenceOf, embed } from "./report-pictures.js";

function clip(value: number, frames = 1): Clip {
  const bytes = Uint8Array.from({ length: frames * 4 * 6 * 3 }, (_, i) => (value + i) % 256);
  return { bytes, frames, height: 4, width: 6 };
}

const data: ReportData = {
  title: "Ti-Ti/8 <b>",
  scores: [
    { name: "PSNR", value: 25.3149, unit: "dB", interval: 0.2, better: "higher" },
    { name: "rIS", value: 9.5, deviation: 0.31, better: "higher" },
    { name: "LPIPS", value: 0.12345, better: "lower", expected: "0.12 ± 0.01" },
  ],
  protocol: { set: "drawn", n: 64, weights: "raw", ema: null },
  charts: [
    {
      title: "Loss",
      series: [
        {
          name: "mse",
          points: [
            [1, 1],
            [2, 0.5],
          ],
        },
      ],
    },
  ],
  gallery: [
    {
      ...{ file: "a&b.png", original: clip(0), recon: clip(3), psnr: 31.456 },
      ...{ group: "worst", note: "worst of 2" },
    },
    {
      ...{ file: "c.png", original: clip(1), recon: clip(2), psnr: 30 },
      ...{ group: "class", note: "<moon>" },
    },
  ],
  files: [18, 20, 22].map((PSNR) => ({ file: `${PSNR}.png`, scores: { PSNR, SSIM: 0.5 } })),
  classes: [{ name: "<moon>", count: 7, scores: { PSNR: 19.5 } }],
  artefacts: { grid: "0.1 of 255" },
  warnings: ["few samples"],
  command: 'vitok evaluate x --data "<script>"',
  config: "seed: 0",
};

describe("the report", () => {
  it("shows scores, protocol, pictures, curves and the command", async () => {
    const page = await renderReport(data);
    for (const text of [
      "25.31<small>dB",
      "± 0.20",
      "deviation 0.31",
      "0.1235",
      "expected 0.12",
      "31.46 dB",
      "worst of 2",
    ]) {
      expect(page).toContain(text);
    }
    expect(page).toContain("<th>ema</th><td>none</td>");
    expect(page.match(/src="data:image\/webp;base64,/g)).toHaveLength(6);
    expect(page).toContain("magnified 4 times");
    expect(page).toContain("<svg");
  });

  it("shows classes, artefacts and warnings, and the ends of the set apart", async () => {
    const page = await renderReport(data);
    expect(page).toContain("<th>&lt;moon&gt;</th><td>7</td><td>19.50</td>");
    expect(page).toContain("<th>grid</th><td>0.1 of 255</td>");
    expect(page).toContain('<p class="warning">few samples</p>');
    expect(page).toMatch(
      /<h2>Classes<[\s\S]*in the middle of its class[\s\S]*<em>&lt;moon&gt;<[\s\S]*<h2>Files/,
    );
    expect(page).toContain("<td>PSNR</td><td>SSIM</td></tr><tr><th>18.png</th><td>18.00</td>");
    expect(page).toContain("<h2>Worst</h2>");
    expect(page).not.toContain("<h2>Best</h2>");
  });

  it("fetches nothing, and shows what it is given as text", async () => {
    const page = await renderReport(data);
    expect(page.replaceAll("http://www.w3.org/", "")).not.toMatch(/https?:\/\/|<script|<b>\s*·/);
    expect(page).toContain("Ti-Ti/8 &lt;b&gt;");
    expect(page).toContain("&quot;&lt;script&gt;&quot;");
  });

  it("leaves out what there is nothing to say about", async () => {
    const page = await renderReport({ title: "x", scores: [], protocol: {}, gallery: [] });
    expect(page).not.toContain("<h2>");
    const listed = await renderReport({
      ...data,
      unreadable: [{ file: "c.jpg", reason: "truncated" }],
    });
    expect(listed).toContain("<th>c.jpg</th><td>truncated</td>");
  });

  it("is one file in its folder", async () => {
    const folder = join(mkdtempSync(join(tmpdir(), "vitok-report-")), "report");
    const path = await writeReport(folder, data);
    expect(readdirSync(folder)).toEqual(["index.html"]);
    expect(readFileSync(path, "utf8")).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
  });

  it("is written to a page of its own name where one is given", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vitok-report-"));
    expect(await writeReport(join(folder, "page.html"), data)).toBe(join(folder, "page.html"));
    expect(readdirSync(folder)).toEqual(["page.html"]);
  });

  it("calls the two sides by what they are", async () => {
    const [usual, named] = [
      await renderReport(data),
      await renderReport({ ...data, sides: ["real", "<fake>"] }),
    ];
    expect(usual).toContain("reconstruction minus original");
    expect(usual).toContain("<figcaption>reconstruction</figcaption>");
    expect(named).toContain("&lt;fake&gt; minus real");
    expect(named).toContain("<figcaption>&lt;fake&gt;</figcaption>");
    expect(named).not.toContain("reconstruction</figcaption>");
  });

  it("keeps pictures to the byte, and of a clip the middle frame", async () => {
    const video = clip(7, 3);
    const address = await embed(video);
    const bytes = Buffer.from(address.split(",")[1]!, "base64");
    const decoded = await sharp(bytes).removeAlpha().raw().toBuffer();
    expect(new Uint8Array(decoded)).toEqual(video.bytes.slice(72, 144));
  });

  it("magnifies differences around grey and stops at black and white", () => {
    const pixels = (...bytes: number[]) => ({
      ...clip(0),
      height: 1,
      width: 1,
      bytes: Uint8Array.from(bytes),
    });
    const difference = differenceOf(pixels(10, 200, 0), pixels(12, 190, 255), 4);
    expect([...difference.bytes]).toEqual([136, 88, 255]);
    expect(() => differenceOf(clip(0), pixels(0, 0, 0), 4)).toThrow(/4 x 6 pixels, received 1 x 1/);
  });
});

describe("a chart", () => {
  it("passes over values that are not finite, and below 0 on a logarithmic axis", () => {
    const points = [
      [1, 1],
      [2, Number.NaN],
      [3, null],
      [4, -1],
      [5, 0.01],
    ] as const;
    const svg = drawChart({ title: "Loss", logarithmic: true, series: [{ name: "mse", points }] });
    expect(svg).toMatch(/^<svg[^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg).not.toContain("NaN");
  });

  it("is nothing with fewer than two points", () => {
    expect(drawChart({ title: "x", series: [{ name: "a", points: [[1, 2]] }] })).toBe("");
    expect(drawChart({ title: "x", series: [] })).toBe("");
  });
});
