// A process that reads remote shards, killed with SIGKILL again and again and started anew from the sample it had reached,
// sees what one left alone sees, bit for bit. Reference: the unbroken process. What a cut transfer leaves behind does no harm.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { packShards } from "../src/data/shards/pack.js";
import { openSource } from "../src/data/source.js";
import { startFlakyServer } from "./flaky-server.js";

const root = mkdtempSync(join(tmpdir(), "vitok-shard-resume-"));
afterAll(() => rmSync(root, { recursive: true }));
const program = fileURLToPath(new URL("children/shard-reader.ts", import.meta.url));

/** Starts a reader; `onLine` may kill it. Resolves to its lines. */
async function read(
  args: readonly string[],
  { cache, onLine }: { cache: string; onLine?: (child: ChildProcess, lines: number) => void },
): Promise<string[]> {
  const env = { ...process.env, VITOK_CACHE: join(root, cache) };
  const child = spawn(process.execPath, ["--import", "tsx", program, ...args], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("close", resolve));
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout!)) {
    lines.push(line);
    onLine?.(child, lines.length);
  }
  await ended;
  return lines.filter((line) => line.endsWith("}")); // the last may be cut
}

test("a reader of shards killed at any moment goes on exactly", async () => {
  const folder = join(root, "set");
  const drawn = await openSource("drawn:train?count=40&size=16");
  await packShards(drawn, { out: folder, shardSize: 5, shuffleSeed: 0 });
  const server = await startFlakyServer();
  for (const name of readdirSync(folder))
    server.files.set(`/${name}`, readFileSync(join(folder, name)));
  const spec = `${server.url}/index.json`;
  try {
    const whole = await read([spec, "0", "16"], { cache: "whole" }); // 1.6 epochs
    expect(whole).toHaveLength(16);
    const lines: string[] = [];
    for (let kills = 0; lines.length < 16; kills++) {
      const next = lines.length ? (JSON.parse(lines.at(-1)!) as { next: number }).next : 0;
      const after = 1 + ((kills * 3) % 5);
      if (kills % 2) server.faults.push("drop midway");
      const onLine = (child: ChildProcess, seen: number) => {
        if (seen === after && kills < 4) child.kill("SIGKILL");
      };
      const args = [spec, String(next), String(16 - lines.length)];
      lines.push(...(await read(args, { cache: "killed", onLine })));
    }
    expect(lines).toEqual(whole);
  } finally {
    await server.close();
  }
});
