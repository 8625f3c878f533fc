// A file read by ranges: open once, read any span, never hold the whole. What safetensors, zip
// archives and old .pth files have in common. Synchronous, because loading weights is.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const readLimit = 2 ** 30; // one read(2) moves at most 2 GiB; stay below

export interface BinaryFile {
  readonly path: string;
  /** bytes */
  readonly size: number;
  /** A fresh, aligned copy of `length` bytes from `offset`. Throws where the file ends earlier. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

/** Opens `source`, hands it to `use`, closes it whatever happens. A file's bytes may stand for the file. */
export function withBinaryFile<T>(source: string | Uint8Array, use: (file: BinaryFile) => T): T {
  if (typeof source !== "string") return use(fileInMemory(source));
  const path = source;
  const descriptor = openSync(path, "r");
  try {
    const { size } = fstatSync(descriptor);
    const read = (offset: number, length: number) => {
      requireInside({ path, size }, offset, length);
      return readFully(descriptor, new Uint8Array(length), { offset, path });
    };
    return use({ path, size, read });
  } finally {
    closeSync(descriptor);
  }
}

function fileInMemory(bytes: Uint8Array): BinaryFile {
  const [path, size] = ["the bytes", bytes.length];
  const read = (offset: number, length: number) => {
    requireInside({ path, size }, offset, length);
    return new Uint8Array(bytes.subarray(offset, offset + length));
  };
  return { path, size, read };
}

function requireInside(
  { path, size }: Pick<BinaryFile, "path" | "size">,
  offset: number,
  length: number,
): void {
  if (offset >= 0 && length >= 0 && offset + length <= size) return;
  throw new Error(
    `Expected bytes ${offset} to ${offset + length} in ${path}, received a file of ${size} ` +
      "bytes. It is truncated or corrupt: fetch it again.",
  );
}

function readFully(
  descriptor: number,
  bytes: Uint8Array<ArrayBuffer>,
  { offset, path }: { offset: number; path: string },
): Uint8Array<ArrayBuffer> {
  for (let done = 0; done < bytes.length; ) {
    const wanted = Math.min(bytes.length - done, readLimit);
    const got = readSync(descriptor, bytes, done, wanted, offset + done);
    if (got === 0) throw new Error(`Expected ${wanted} more bytes in ${path}, received its end.`);
    done += got;
  }
  return bytes;
}
