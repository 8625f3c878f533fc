// The copies of remote shards on this machine: whole files under the cache folder, checked against the server once a run,
// the longest unused removed above a limit. How bytes get here is transfer.ts.
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { replaceFileAsync, writeFileAtomic } from "../../atomic-file.js";
import { ConfigError } from "../../config-error.js";
import { Turns } from "../turns.js";
import { type Ask, patient, type RetryPolicy, type Sink, transfer } from "./transfer.js";

/** Downloads under way at the same time, and copies that are never removed. */
const parallel = 8;

interface Copy {
  readonly url: string;
  readonly etag: string | undefined;
  readonly size: number;
}

export class ShardCache {
  readonly #fetching = new Map<string, Promise<string>>();
  readonly #turns = new Turns(parallel);
  /** Failures of connections that were made good, over all transfers. */
  retries = 0;

  constructor(
    private readonly folder: string,
    private readonly options: { limitBytes: number; policy?: RetryPolicy | undefined },
  ) {}

  /** The path of the current copy of `url`; several callers share one transfer. MediaError where it cannot be had. */
  get(url: string, ask: Ask): Promise<string> {
    const known = this.#fetching.get(url);
    if (known) return known;
    const fetching = this.#turns
      .run(() => this.#fetch(url, ask))
      .finally(() => this.#fetching.delete(url));
    this.#fetching.set(url, fetching);
    return fetching;
  }

  async #fetch(url: string, ask: Ask): Promise<string> {
    const path = this.#pathOf(url);
    const held = await this.#held(path);
    mkdirSync(this.folder, { recursive: true });
    const draft = `${path}.${process.pid}.tmp`;
    const sink = new FileSink(draft);
    try {
      const options = { sink, knownEtag: held?.etag, policy: this.options.policy ?? patient };
      const { isNew, etag, size, retries } = await transfer(url, ask, options);
      this.retries += retries;
      if (isNew) {
        sink.sync();
        renameSync(draft, path);
        // After the file: an old text beside a new file only makes the server be asked again.
        writeFileAtomic(`${path}.json`, JSON.stringify({ url, etag, size } satisfies Copy));
      } else touch(path);
    } finally {
      sink.close();
      rmSync(draft, { force: true });
    }
    await this.#evict();
    return path;
  }

  /** The path of a shard that `write` makes, kept under `key` and made once. */
  async make(key: string, write: (fd: number) => Promise<void>): Promise<string> {
    const known = this.#fetching.get(key);
    if (known) return known;
    const making = this.#make(key, write).finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, making);
    return making;
  }

  async #make(key: string, write: (fd: number) => Promise<void>): Promise<string> {
    const path = this.#pathOf(key);
    if (existsSync(path)) touch(path);
    else await replaceFileAsync(path, write);
    await this.#evict();
    return path;
  }

  #pathOf(key: string): string {
    const hash = createHash("sha256").update(key).digest("hex").slice(0, 20);
    return join(this.folder, `${hash}.tar`);
  }

  /** What is known of a copy, where it is whole. */
  async #held(path: string): Promise<Copy | undefined> {
    try {
      const copy = JSON.parse(await readFile(`${path}.json`, "utf8")) as Copy;
      return (await stat(path)).size === copy.size ? copy : undefined;
    } catch {
      return undefined;
    }
  }

  /** Removes the longest unused copies until the rest fits; the last used always stay, for they may be in use. */
  async #evict(): Promise<void> {
    const all = await readdir(this.folder);
    await this.#removeOldDrafts(all);
    const names = all.filter((name) => name.endsWith(".tar"));
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.folder, name);
        const { size = 0, atimeMs = 0 } = (await stat(path).catch(() => undefined)) ?? {};
        return { path, size, atimeMs };
      }),
    );
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size } of files.sort((a, b) => a.atimeMs - b.atimeMs).slice(0, -parallel)) {
      if (total <= this.options.limitBytes) return;
      await Promise.all([rm(path, { force: true }), rm(`${path}.json`, { force: true })]);
      total -= size;
    }
  }

  /** What a process that was killed left behind; one that is alive writes more often than once a day. */
  async #removeOldDrafts(names: readonly string[]): Promise<void> {
    for (const name of names.filter((name) => name.endsWith(".tmp"))) {
      const path = join(this.folder, name);
      const { mtimeMs = Date.now() } = (await stat(path).catch(() => undefined)) ?? {};
      if (Date.now() - mtimeMs > dayMs) await rm(path, { force: true });
    }
  }
}

const dayMs = 24 * 3_600_000;

/** Marks a copy as used; its time of change stays, for that tells one content from another (unpack.ts). */
function touch(path: string): void {
  utimesSync(path, new Date(), statSync(path).mtime);
}

/** A file that a body is written to. */
export class FileSink implements Sink {
  readonly #fd: number;
  #at = 0;

  constructor(path: string) {
    this.#fd = openSync(path, "w");
  }

  write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#at + done);
    this.#at += bytes.length;
  }

  restart(): void {
    ftruncateSync(this.#fd, 0);
    this.#at = 0;
  }

  sync(): void {
    fsyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

const caches = new Map<string, ShardCache>();

/** By VITOK_CACHE (a folder, default ~/.cache/vitok) and VITOK_SHARDS_GB (default 100), which all runs here share. */
export function machineCache(): ShardCache {
  const { VITOK_CACHE, VITOK_SHARDS_GB = "100" } = process.env;
  const limit = Number(VITOK_SHARDS_GB);
  if (!(limit > 0))
    throw new ConfigError(
      `Expected gigabytes above 0 for VITOK_SHARDS_GB, received "${VITOK_SHARDS_GB}".`,
    );
  const folder = join(VITOK_CACHE ?? join(homedir(), ".cache", "vitok"), "shards");
  const key = `${folder} ${limit}`;
  const cache = caches.get(key) ?? new ShardCache(folder, { limitBytes: limit * 1e9 });
  caches.set(key, cache);
  return cache;
}
