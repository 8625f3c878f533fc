// The tar format as far as shards need it: where each file of an archive lies, and the blocks to write one. Headers of
// ustar, PAX and GNU (long names, sizes in base 256). No samples here (samples.ts), nothing is decompressed.
import { readSync } from "node:fs";

const block = 512;

/** A file of an archive: `size` bytes from `offset`. */
export interface TarMember {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

export interface TarListing {
  readonly members: readonly TarMember[];
  /** What is wrong with the archive, a text for each place; empty for a sound one. */
  readonly damages: readonly string[];
}

interface Header {
  readonly name: string;
  readonly size: number;
  /** "0" a file, "L" a GNU long name, "x" a PAX header. */
  readonly type: string;
}

/**
 * Lists the regular files of an open archive by hopping from header to header. Where a header is damaged, goes on at the
 * next sound one and reports the gap. A member that the archive ends within is listed: its bytes are what is missing.
 */
export function listTar(fd: number, archiveSize: number): TarListing {
  const members: TarMember[] = [];
  const damages: string[] = [];
  const reader = new BlockReader(fd, archiveSize);
  let longName: string | undefined;
  let pax: ReadonlyMap<string, string> = new Map();
  let at = 0;
  while (at + block <= archiveSize) {
    const bytes = reader.block(at);
    if (bytes.every((byte) => byte === 0)) {
      if (at + 2 * block > archiveSize || reader.block(at + block).every((b) => b === 0)) break;
      at += block;
      continue;
    }
    const header = parseHeader(bytes);
    if (!header) {
      const next = reader.nextHeader(at + block);
      damages.push(`damaged between bytes ${at} and ${next}`);
      [at, longName, pax] = [next, undefined, new Map()];
      continue;
    }
    const size = pax.has("size") ? Number(pax.get("size")) : header.size;
    const offset = at + block;
    const text = () => reader.text(offset, size);
    if (header.type === "L") longName = text().replace(/\0.*$/s, "");
    else if (header.type === "x") pax = parsePax(text());
    else if (!/[Kg]/.test(header.type)) {
      // K, a long link's target, and g, defaults for the archive, say nothing about the name
      const name = pax.get("path") ?? longName ?? header.name;
      if (isFile(header.type) && !name.endsWith("/")) members.push({ name, offset, size });
      [longName, pax] = [undefined, new Map()];
    }
    at = offset + Math.ceil(size / block) * block;
  }
  return { members, damages };
}

const isFile = (type: string): boolean => type === "0" || type === "\0" || type === "7";

/** Blocks of an open file, read a few at a time: a small member and the next header come with one read. */
class BlockReader {
  readonly #window = Buffer.alloc(8 * block);
  #start = 0;
  #length = 0;

  constructor(
    private readonly fd: number,
    private readonly fileSize: number,
  ) {}

  block(at: number): Buffer {
    if (at < this.#start || at + block > this.#start + this.#length) {
      this.#start = at;
      this.#length = readSync(this.fd, this.#window, 0, this.#window.length, at);
    }
    return this.#window.subarray(at - this.#start, at - this.#start + block);
  }

  /** A member's bytes as UTF-8; only for headers that are members themselves. */
  text(offset: number, size: number): string {
    const bytes = Buffer.alloc(Math.max(0, Math.min(size, 2 ** 20, this.fileSize - offset)));
    readSync(this.fd, bytes, 0, bytes.length, offset);
    return bytes.toString("utf8");
  }

  /** Where the next sound header begins, from `at` on; the file's end where there is none. */
  nextHeader(at: number): number {
    let candidate = at;
    while (candidate + block <= this.fileSize && !parseHeader(this.block(candidate)))
      candidate += block;
    return candidate + block <= this.fileSize ? candidate : this.fileSize;
  }
}

/** undefined where the checksum is wrong: that is how a damaged header shows. */
function parseHeader(bytes: Buffer): Header | undefined {
  if (bytes.length < block || checksum(bytes) !== parseNumber(bytes.subarray(148, 156)))
    return undefined;
  const name = textOf(bytes, 0, 100);
  const isUstar = bytes.toString("latin1", 257, 263) === "ustar\0"; // GNU's has a space and no prefix
  const prefix = isUstar ? textOf(bytes, 345, 155) : "";
  const size = parseNumber(bytes.subarray(124, 136));
  if (!Number.isSafeInteger(size) || size < 0) return undefined;
  return {
    name: prefix ? `${prefix}/${name}` : name,
    size,
    type: String.fromCharCode(bytes[156]!),
  };
}

function textOf(bytes: Buffer, start: number, length: number): string {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end < 0 ? length : end);
}

/** Octal digits, or base 256 where the first bit is set (sizes of 8 GiB and more). */
function parseNumber(field: Buffer): number {
  if (field[0]! & 0x80)
    return field.subarray(1).reduce((value, byte) => value * 256 + byte, field[0]! & 0x7f);
  const digits = field
    .toString("latin1")
    .replace(/[\0 ]+$/, "")
    .trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
}

/** The sum of all bytes with the checksum's own field read as spaces. */
function checksum(bytes: Buffer): number {
  let sum = 8 * 32;
  for (let i = 0; i < block; i++) if (i < 148 || i >= 156) sum += bytes[i]!;
  return sum;
}

/** Records of "<length> <key>=<value>\n", the length counting the whole record in bytes. */
function parsePax(text: string): ReadonlyMap<string, string> {
  const bytes = Buffer.from(text);
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const length = Number.parseInt(bytes.toString("latin1", at, at + 20), 10);
    if (!(length > 0)) break;
    const record = bytes.toString("utf8", at, at + length - 1);
    const [, key, value] = /^\d+ ([^=]+)=(.*)$/s.exec(record) ?? [];
    if (key !== undefined) records.set(key, value!);
    at += length;
  }
  return records;
}

/** Header (with a PAX header before it, where the name asks for one), bytes and padding of one file. */
export function tarEntry(name: string, data: Uint8Array): Uint8Array[] {
  const isPlain = /^[\x20-\x7e]{1,100}$/.test(name);
  const pax = isPlain ? [] : entry("PaxHeader", Buffer.from(paxRecord("path", name)), "x");
  return [...pax, ...entry(isPlain ? name : "long-name", data, "0")];
}

/** What an archive ends with. */
export const tarEnd: Uint8Array = new Uint8Array(2 * block);

/** Times and owners are 0, so that the same files make the same archive. */
function entry(name: string, data: Uint8Array, type: string): Uint8Array[] {
  const header = Buffer.alloc(block);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  header.write(name, 0, "latin1");
  header.write("0000644\0", 100, "latin1");
  for (const start of [108, 116]) header.write("0000000\0", start, "latin1");
  header.write(octal(data.length, 11), 124, "latin1");
  header.write(octal(0, 11), 136, "latin1");
  header.write(type, 156, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  header.write(`${octal(checksum(header), 6)}\0 `, 148, "latin1");
  const padding = new Uint8Array((block - (data.length % block)) % block);
  return [header, data, padding];
}

function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}
