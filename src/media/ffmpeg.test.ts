// What counts as silence of a child process: the time in which it is listened to. With a script in ffmpeg's place.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { readPieces } from "./ffmpeg.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-ffmpeg-"));
afterAll(() => rmSync(folder, { recursive: true }));

it.skipIf(process.platform === "win32")(
  "a process that speaks while this one computes is not taken for silent",
  async () => {
    const script = join(folder, "ffmpeg");
    writeFileSync(script, "#!/bin/sh\nprintf 12345678\n", { mode: 0o755 });
    vi.stubEnv("FFMPEG_PATH", script);
    const pieces = readPieces("a.mp4", [], { length: 8, timeoutMs: 1000 });
    const first = pieces.next(); // starts it and waits
    await new Promise(setImmediate);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200); // longer than the limit
    const { value } = await first;
    vi.unstubAllEnvs();
    expect(String(Buffer.from(value as Uint8Array))).toBe("12345678");
    expect((await pieces.next()).done).toBe(true);
  },
);
