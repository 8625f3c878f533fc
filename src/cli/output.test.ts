// Tables, numbers and progress lines as they are read by people: exact text.

import { afterEach, describe, expect, it, vi } from "vitest";
import { formatCount, formatDuration, openOutput, styled, table } from "./output.js";
import { describe as describeFields, openProgress } from "./progress.js";

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe("a table", () => {
  it("sets numbers to the right, text to the left, and a dash for nothing", () => {
    const rows = [
      { run: "a", step: 5 },
      { run: "longer", step: 1000, PSNR: "21.3" },
    ];
    expect(table(rows).split("\n")).toEqual([
      "run     step  PSNR",
      "a          5     -",
      "longer  1000  21.3",
    ]);
  });
});

describe("numbers", () => {
  it("are counted in thousands", () => {
    expect([0, 999, 1500, 128821283, 34.8e9].map(formatCount)).toEqual([
      "0",
      "999",
      "1.5 k",
      "128.8 M",
      "34.8 G",
    ]);
  });

  it("are times in the unit that reads best", () => {
    const times = [12, 4200, 185_000, 7_620_000, 60 * 3_600_000, Number.NaN].map(formatDuration);
    expect(times).toEqual(["12 ms", "4.2 s", "3 min 05 s", "2 h 07 min", "3 days", "unknown"]);
  });
});

describe("output", () => {
  it("is text or JSON on stdout, never both", () => {
    const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    for (const json of [false, true]) {
      const output = openOutput({ json });
      output.print("text");
      output.result({ a: 1 });
    }
    expect(write.mock.calls.map(([text]) => text)).toEqual(["text\n", '{\n  "a": 1\n}\n']);
  });

  it("is coloured on a terminal only, and never under NO_COLOR", () => {
    vi.stubEnv("NO_COLOR", "");
    expect(styled("bold", "x", { isTTY: false })).toBe("x");
    expect(styled("bold", "x", { isTTY: true })).toBe("\x1b[1mx\x1b[22m");
    vi.stubEnv("NO_COLOR", "1");
    expect(styled("bold", "x", { isTTY: true })).toBe("x");
  });
});

describe("progress away from a terminal", () => {
  it("is a line now and then, and always the last one", () => {
    const lines: string[] = [];
    const stream = { write: (text: string) => lines.push(text) } as unknown as NodeJS.WriteStream;
    const progress = openProgress("train", { total: 3, stream, everyMs: 1e9 });
    progress.update(1, { loss: 0.51234, rate: 38.2, dataWaitShare: 0.014, mfu: 0.41 });
    progress.update(2);
    progress.note("saved");
    progress.update(3, { loss: 0.4 });
    progress.stop();
    expect(lines[0]).toMatch(
      /^train 1\/3 {2}\S.* left {2}loss 0\.512 {2}38 img\/s {2}data wait 1 % {2}MFU 41 %\n$/,
    );
    expect(lines.slice(1)).toEqual(["saved\n", "train 3/3  loss 0.400\n"]);
  });

  it("shows only the fields it is given", () => {
    expect(describeFields({})).toBe("");
    expect(describeFields({ rate: 2.25, unit: "clip" })).toBe("2.3 clip/s");
  });
});
