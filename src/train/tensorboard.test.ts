// TensorBoard's events, taken apart again: lengths and fields by hand, sums against CRC-32C's published check value
// ("123456789" -> e3069283) by way of a bitwise sum. TensorBoard itself read such a file back: docs/log.md.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { EventFile, writeLine } from "./tensorboard.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-events-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** CRC-32C bit by bit. */
function crc(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes)
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (sum ^ (byte >> bit)) & 1;
      sum = (sum >>> 1) ^ (isOdd ? 0x82f63b78 : 0);
    }
  return ~sum >>> 0;
}

const masked = (sum: number) => (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0;

type Field = number | Buffer;

/** The fields of a message by their number. */
function fieldsOf(bytes: Buffer): Map<number, Field[]> {
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const id = key >> 3;
    const kind = key & 7; // 0 varint, 1 eight bytes, 2 a length and so many, 5 four bytes
    const width = kind === 1 ? 8 : kind === 5 ? 4 : kind === 2 ? varint() : 0;
    const taken = bytes.subarray(at, at + width);
    at += width;
    const value =
      kind === 0
        ? varint()
        : kind === 1
          ? taken.readDoubleLE()
          : kind === 5
            ? taken.readFloatLE()
            : taken;
    fields.set(id, [...(fields.get(id) ?? []), value]);
  }
  return fields;
}

function eventsOf(path: string) {
  const bytes = readFileSync(path);
  const events: Map<number, Field[]>[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const event = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 8)).toBe(masked(crc(bytes.subarray(at, at + 8))));
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(masked(crc(event)));
    events.push(fieldsOf(event));
    at += 16 + length;
  }
  return events;
}

test("scalars, pictures and restarts come back as they were written", () => {
  expect(crc(Buffer.from("123456789"))).toBe(0xe3069283);
  const file = new EventFile(scratch, { resumedAtStep: 300 });
  writeLine(file, {
    ...{ type: "step", step: 310, loss: 0.5, lr: 1e-3, gradNorm: null, imagesPerSecond: 7 },
    ...{ dataWaitShare: 0, memoryMiB: 9, elapsedMs: 1 },
    ...{ terms: { mse: 0.25 }, gauges: { realLogit: -1.5 } },
  });
  writeLine(file, { type: "eval", step: 311, metrics: { PSNR: 26 }, elapsedMs: 1 });
  const encoded = Buffer.from([1, 2, 3, 200]);
  file.picture(311, "grid", { encoded, height: 64, width: 512 });
  file.close();
  const [version, restart, step, evaluation, picture] = eventsOf(file.path);
  expect(String(version!.get(3)![0])).toBe("brain.Event:2");
  expect(restart!.get(2)).toEqual([301]);
  expect(restart!.get(7)).toEqual([Buffer.from([8, 1])]);
  const scalars = (event: Map<number, Field[]>) =>
    Object.fromEntries(
      fieldsOf(event.get(5)![0] as Buffer)
        .get(1)!
        .map((value) => fieldsOf(value as Buffer))
        .map((value) => [String(value.get(1)![0]), value.get(2)?.[0] ?? value.get(4)?.[0]]),
    );
  expect(step!.get(2)).toEqual([310]);
  expect(scalars(step!)).toEqual({
    ...{ loss: 0.5, lr: Math.fround(1e-3), imagesPerSecond: 7, dataWaitShare: 0, memoryMiB: 9 },
    ...{ "terms/mse": 0.25, "gauges/realLogit": -1.5 },
  });
  expect(scalars(evaluation!)).toEqual({ "eval/PSNR": 26 });
  const image = fieldsOf(scalars(picture!).grid as Buffer);
  expect([...image.values()].flat()).toEqual([64, 512, 3, encoded]);
  expect(step!.get(1)![0]).toBeGreaterThan(1.7e9);
});
