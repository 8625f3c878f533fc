// Files that are whole or not there: written beside, flushed to disk, then renamed over the old one.
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Writes a file through `write(fd)`; a failure leaves the old file as it was and nothing beside it. */
export function replaceFile(path: string, write: (fd: number) => void): void {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}.tmp`;
  try {
    withDescriptor(draft, "w", (fd) => {
      write(fd);
      fsyncSync(fd);
    });
    renameSync(draft, path);
    withDescriptor(dirname(path), "r", fsyncSync); // the rename itself
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** `replaceFile` for a file that is written as its parts arrive. */
export async function replaceFileAsync(
  path: string,
  write: (fd: number) => Promise<void>,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}.tmp`;
  const fd = openSync(draft, "w");
  try {
    await write(fd).finally(() => fsyncSync(fd));
    renameSync(draft, path);
    withDescriptor(dirname(path), "r", fsyncSync);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Writes a whole file atomically. */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  replaceFile(path, (fd) => writeFully(fd, bytes));
}

/** One write call may take less than it was given: goes on until all of it is written. */
export function writeFully(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

function withDescriptor(path: string, flags: string, use: (fd: number) => void): void {
  const fd = openSync(path, flags);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
