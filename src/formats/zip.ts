// Zip archives as torch.save and numpy.savez write them: stored or deflated entries, ZIP64,
// checksums. Not a general unzip: no encryption, no split archives.
import { crc32, inflateRawSync } from "node:zlib";
import type { BinaryFile } from "../nn/binary-file.js";

const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50 };
const in64 = 0xffffffff; // "see the ZIP64 field"

export interface ZipEntry {
  readonly name: string;
  /** bytes, unpacked */
  readonly size: number;
  readonly packedSize: number;
  readonly method: number;
  readonly checksum: number;
  /** of its local header, from the start of the file */
  readonly headerOffset: number;
}

export function isZip(file: BinaryFile): boolean {
  return file.size >= 22 && viewOf(file.read(0, 4)).getUint32(0, true) === signatures.local;
}

/**
 * The archive's entries by name, from its central directory. Throws where there is none (a
 * truncated file).
 */
export function readZipDirectory(file: BinaryFile): Map<string, ZipEntry> {
  const { offset, length, count } = findDirectory(file);
  const view = viewOf(file.read(offset, length));
  const entries = new Map<string, ZipEntry>();
  for (let at = 0, i = 0; i < count; i++) {
    if (at + 46 > length || view.getUint32(at, true) !== signatures.central) throw corrupt(file);
    const next = at + 46 + [28, 30, 32].reduce((sum, k) => sum + view.getUint16(at + k, true), 0);
    if (next > length) throw corrupt(file);
    const entry = parseEntry(new DataView(view.buffer, at, next - at));
    entries.set(entry.name, entry);
    at = next;
  }
  return entries;
}

/** One entry's bytes, unpacked and checked against its checksum. */
export function readZipEntry(file: BinaryFile, entry: ZipEntry): Uint8Array<ArrayBuffer> {
  const header = viewOf(file.read(entry.headerOffset, 30));
  if (header.getUint32(0, true) !== signatures.local) throw corrupt(file);
  const start = entry.headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const packed = file.read(start, entry.packedSize);
  const bytes = entry.method === 0 ? packed : inflate(packed, { entry, file });
  if (bytes.length !== entry.size || crc32(bytes) !== entry.checksum) {
    throw new Error(
      `Expected the checksum of "${entry.name}" in ${file.path} to hold, received other bytes. ` +
        "The file is damaged: fetch it again.",
    );
  }
  return bytes;
}

function inflate(
  packed: Uint8Array,
  { entry, file }: { entry: ZipEntry; file: BinaryFile },
): Uint8Array<ArrayBuffer> {
  if (entry.method !== 8) throw corrupt(file);
  const unpacked = inflateRawSync(packed, { maxOutputLength: Math.max(entry.size, 1) });
  return new Uint8Array(unpacked); // aligned, and not a window on a shared pool
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

const corrupt = (file: BinaryFile): Error =>
  new Error(
    `Expected a whole zip archive for ${file.path}, received one that is truncated or damaged. ` +
      "Fetch it again.",
  );

function findDirectory(file: BinaryFile): { offset: number; length: number; count: number } {
  const tailLength = Math.min(file.size, 22 + 0xffff + 20); // record, comment, 64-bit locator
  const tailStart = file.size - tailLength;
  const view = viewOf(file.read(tailStart, tailLength));
  for (let at = tailLength - 22; at >= 0; at--) {
    if (view.getUint32(at, true) !== signatures.end) continue;
    const count = view.getUint16(at + 10, true);
    const length = view.getUint32(at + 12, true);
    const offset = view.getUint32(at + 16, true);
    if (count < 0xffff && length < in64 && offset < in64) return { offset, length, count };
    if (at < 20) break;
    return readDirectory64(file, Number(view.getBigUint64(at - 12, true)));
  }
  throw corrupt(file);
}

function readDirectory64(file: BinaryFile, at: number) {
  const record = viewOf(file.read(at, 56));
  if (record.getUint32(0, true) !== signatures.end64) throw corrupt(file);
  const [count, length, offset] = [32, 40, 48].map((k) => Number(record.getBigUint64(k, true)));
  return { offset: offset!, length: length!, count: count! };
}

function parseEntry(view: DataView): ZipEntry {
  const nameLength = view.getUint16(28, true);
  const name = new Uint8Array(view.buffer, view.byteOffset + 46, nameLength);
  const wide = wideFields(view, 46 + nameLength);
  // ZIP64 stores only the fields that do not fit, in this order.
  const [size, packedSize, headerOffset] = [24, 20, 42].map((k) => {
    const narrow = view.getUint32(k, true);
    return narrow === in64 ? (wide.shift() ?? narrow) : narrow;
  });
  return {
    name: new TextDecoder().decode(name),
    size: size!,
    packedSize: packedSize!,
    headerOffset: headerOffset!,
    method: view.getUint16(10, true),
    checksum: view.getUint32(16, true),
  };
}

/** The 64-bit numbers of an entry's ZIP64 extra field (id 1), or none. */
function wideFields(view: DataView, start: number): number[] {
  const end = start + view.getUint16(30, true);
  for (let at = start; at + 4 <= end; ) {
    const length = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === 1 && at + 4 + length <= end) {
      return Array.from({ length: Math.floor(length / 8) }, (_, i) =>
        Number(view.getBigUint64(at + 4 + 8 * i, true)),
      );
    }
    at += 4 + length;
  }
  return [];
}
