// What a file is known by in protocols, latents and models: the first 16 hex digits of its SHA-256.
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";

const knownHashes = new Map<string, Promise<string>>();

/** A file's SHA-256, 16 hex digits; computed once for each state of the file. */
export function fileHash(path: string): Promise<string> {
  const { size, mtimeMs } = statSync(path);
  const key = `${path} ${size} ${mtimeMs}`;
  const hash = knownHashes.get(key) ?? hashOf(path);
  knownHashes.set(key, hash);
  return hash;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex").slice(0, 16);
}
