// What the tests of remote sets share: 30 drawn pictures in five shards on a server of this machine, and a loader over them.
// Not part of the product: only tests import it.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, vi } from "vitest";
import type { Batch } from "../src/data/batch.js";
import { Loader } from "../src/data/loader.js";
import { ShardCache } from "../src/data/remote/cache.js";
import { packShards } from "../src/data/shards/pack.js";
import { openSource, type Source } from "../src/data/source.js";
import { type FlakyServer, startFlakyServer } from "./flaky-server.js";

/** Quick to try again, slow to give up. */
export const policy = { attempts: 8, pauseMs: 1, stallMs: 20_000 };

/** The shards' names. */
export const pattern = "drawn-train-{000000..000004}.tar";

export class RemoteFixture {
  readonly root = mkdtempSync(join(tmpdir(), "vitok-remote-"));
  readonly shards = join(this.root, "packed");
  cache!: ShardCache;
  cacheFolder = "";
  #folders = 0;

  server!: FlakyServer;

  /** For the tests of a file: started before them, reset before each, closed behind them. */
  static forTests(): RemoteFixture {
    const fixture = new RemoteFixture();
    beforeAll(() => fixture.#start());
    beforeEach(() => fixture.reset());
    afterAll(async () => {
      vi.unstubAllEnvs();
      await fixture.#close();
    });
    return fixture;
  }

  async #start(): Promise<void> {
    this.server = await startFlakyServer();
    const source = await openSource("drawn:train?count=30&size=16");
    await packShards(source, { out: this.shards, shardSize: 6, shuffleSeed: 1 });
  }

  /** Before each test: the shards under /set/, no faults, an empty cache. */
  reset(): void {
    const { server } = this;
    server.files.clear();
    server.faults.length = 0;
    server.log.length = 0;
    server.handle = () => false;
    this.cacheFolder = this.newFolder();
    this.cache = new ShardCache(this.cacheFolder, { limitBytes: 1e9, policy });
    this.serve(this.shards, "/set");
  }

  serve(folder: string, path: string): void {
    for (const name of readdirSync(folder))
      this.server.files.set(`${path}/${name}`, readFileSync(join(folder, name)));
  }

  newFolder(): string {
    return join(this.root, `folder-${this.#folders++}`);
  }

  /** Requests for shards so far. */
  fetched(): number {
    return this.server.log.filter((line) => /\.(tar|parquet)/.test(line)).length;
  }

  async #close(): Promise<void> {
    await this.server.close();
    rmSync(this.root, { recursive: true });
  }
}

/** The first batches of training. */
export async function takeBatches(source: Source, count: number): Promise<Batch[]> {
  const loader = new Loader(source, {
    ...{ batchSize: 5, size: 8, seed: 3, augment: true, shuffleBuffer: 10, cacheMiB: 0 },
  });
  const batches: Batch[] = [];
  while (batches.length < count) batches.push((await loader.next())!);
  loader.close();
  return batches;
}
