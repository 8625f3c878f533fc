// A run as TensorBoard events: scalars and pictures in its own file format, records of protocol buffers with CRC-32C sums.
// `tensorboard --logdir runs` reads them; the run itself is still run.jsonl.
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type LogLine, numbersOf } from "./log.js";

/** Appends to one events file of a folder. */
export class EventFile {
  readonly path: string;
  readonly #file: number;

  /** `resumedAtStep`: what earlier files hold of later steps is void. */
  constructor(folder: string, options: { resumedAtStep?: number | undefined } = {}) {
    mkdirSync(folder, { recursive: true });
    const [seconds, unique] = [Math.floor(Date.now() / 1000), process.pid];
    this.path = join(folder, `events.out.tfevents.${seconds}.vitok.${unique}`);
    this.#file = openSync(this.path, "a");
    this.#write(bytesField(3, Buffer.from("brain.Event:2"))); // the file's version
    if (options.resumedAtStep !== undefined) this.restart(options.resumedAtStep);
  }

  /** Tells a reader to forget what it knows of steps above this one. */
  restart(step: number): void {
    const started = intField(1, 1); // SessionLog.status = START
    this.#write(Buffer.concat([intField(2, step + 1), bytesField(7, started)]));
  }

  /** Numbers by name; those that are not finite are left out. */
  scalars(step: number, values: Readonly<Record<string, number | null | undefined>>): void {
    const finite = Object.entries(values).filter(([, value]) => Number.isFinite(value));
    this.#summary(
      step,
      finite.map(([tag, value]) =>
        Buffer.concat([bytesField(1, Buffer.from(tag)), floatField(2, value!)]),
      ),
    );
  }

  /** A PNG or JPEG file's bytes. */
  picture(
    step: number,
    tag: string,
    picture: { encoded: Buffer; height: number; width: number },
  ): void {
    const { encoded, height, width } = picture;
    const image = [intField(1, height), intField(2, width), intField(3, 3), bytesField(4, encoded)];
    const value = [bytesField(1, Buffer.from(tag)), bytesField(4, Buffer.concat(image))];
    this.#summary(step, [Buffer.concat(value)]);
  }

  close(): void {
    closeSync(this.#file);
  }

  #summary(step: number, values: readonly Buffer[]): void {
    if (!values.length) return;
    const summary = Buffer.concat(values.map((value) => bytesField(1, value)));
    this.#write(Buffer.concat([intField(2, step), bytesField(5, summary)]));
  }

  /** One record: length, its sum, the event, its sum. */
  #write(fields: Buffer): void {
    const time = Buffer.alloc(9);
    time[0] = (1 << 3) | 1; // wall_time, a double
    time.writeDoubleLE(Date.now() / 1000, 1);
    const event = Buffer.concat([time, fields]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(event.length));
    writeSync(this.#file, Buffer.concat([length, maskedSum(length), event, maskedSum(event)]));
  }
}

export function writeLine(file: EventFile, line: LogLine): void {
  if (line.type === "rollback") file.restart(line.toStep);
  else if ("step" in line) file.scalars(line.step, numbersOf(line));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

const intField = (id: number, value: number) => Buffer.concat([varint(id << 3), varint(value)]);
const bytesField = (id: number, bytes: Buffer) =>
  Buffer.concat([varint((id << 3) | 2), varint(bytes.length), bytes]);
function floatField(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = (id << 3) | 5;
  bytes.writeFloatLE(value, 1);
  return bytes;
}

const sums = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
  return sum;
});

/** CRC-32C, rotated and shifted as the format wants it. */
function maskedSum(bytes: Buffer): Buffer {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ sums[(sum ^ byte) & 255]!;
  sum = ~sum >>> 0;
  const masked = Buffer.alloc(4);
  masked.writeUInt32LE((((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0);
  return masked;
}
