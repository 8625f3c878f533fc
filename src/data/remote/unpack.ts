// Files that become a tar shard when they are first needed: parquet, and gzipped tar. The shard is kept in the machine's
// cache; later runs find it there.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { writeFully } from "../../atomic-file.js";
import { MediaError } from "../../media/error.js";
import type { ShardFile } from "../shards/list.js";
import type { ShardCache } from "./cache.js";
import { unpackParquet } from "./parquet.js";

/** The same file, its `fetch` giving the path of a tar whatever it is. */
export function asTar(file: ShardFile, cache: () => ShardCache): ShardFile {
  const unpack = /\.parquet$/i.test(file.name)
    ? unpackParquet
    : /\.(tar\.gz|tgz)$/i.test(file.name)
      ? gunzip
      : undefined;
  if (!unpack) return file;
  return {
    ...file,
    async fetch() {
      const path = await file.fetch();
      const { size, mtimeMs } = await stat(path).catch((cause: Error) => {
        throw new MediaError(path, `cannot be read: ${cause.message}`, { cause });
      });
      return cache().make(`${path} ${size} ${mtimeMs}`, (fd) => unpack(file.name, path, fd));
    },
  };
}

async function gunzip(name: string, path: string, fd: number): Promise<void> {
  try {
    for await (const bytes of createReadStream(path).pipe(createGunzip()))
      writeFully(fd, bytes as Buffer);
  } catch (cause) {
    throw new MediaError(name, `cannot be unpacked: ${(cause as Error).message}`, { cause });
  }
}
