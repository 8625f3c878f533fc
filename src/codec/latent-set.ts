// A whole data set as latents in a folder: latents.json says what they are, shard-NNNNN.safetensors hold them, and a reader
// takes any rows. Writing one is encode-set.ts. Legend: L tokens, c channels, V views of a picture: itself, its mirror image.
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError } from "../config-error.js";
import { readSafetensors, readSafetensorsHeader } from "../nn/safetensors.js";
import { type DType, dtypeWidth, scope } from "../torch/index.js";

const whole = z.int().nonnegative();

/** What must agree between all shards of a set, and between a set and its continuation. */
const plan = z.object({
  /** The first 16 hex digits of the SHA-256 of the tokenizer's model.safetensors. */
  tokenizerHash: z.string(),
  variant: z.string(),
  /** The source's name, its length, and the hash of its files' names. */
  source: z.string(),
  length: whole,
  setHash: z.string(),
  /** Side of the centre crop, pixels; frames of a clip. */
  size: whole,
  /** Tokens over (time, row, column); of a code without a grid 1, 1 and its length. */
  grid: z.tuple([whole, whole, whole]),
  channels: whole,
  dtype: z.enum(["float16", "bfloat16"]),
  /** 2: every picture and its mirror image. */
  views: z.union([z.literal(1), z.literal(2)]),
  /** Places of the source that a shard covers. */
  shardSize: whole,
});

const manifest = plan.extend({
  format: z.literal("vitok-latents-1"),
  /** Pictures in the set. */
  count: whole,
  shards: z.array(z.object({ file: z.string(), count: whole })),
  classes: z.array(z.string()),
  /** Of posterior samples, exactly: one number a channel, over all tokens and views. */
  mean: z.array(z.number()),
  std: z.array(z.number()),
  unreadable: z.array(z.object({ file: z.string(), reason: z.string() })),
});

export type LatentPlan = Readonly<z.output<typeof plan>>;
export type LatentManifest = Readonly<z.output<typeof manifest>>;

export const manifestName = "latents.json";
export const shardName = (index: number) => `shard-${String(index).padStart(5, "0")}.safetensors`;

/** Reads latents.json. @throws ConfigError where there is none, or where it is not what it should be */
export function readManifest(folder: string): LatentManifest {
  const path = join(folder, manifestName);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new ConfigError(
      `Expected a folder of latents for ${folder}, received one without a whole ${manifestName}. Let npx vitok encode MODEL --data SRC --out ${folder} finish.`,
      { cause },
    );
  }
  const result = manifest.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ConfigError(
    `Expected a description of latents in ${path}, received: ${issue?.path.join(".")}: ${issue?.message}. Encode the set again.`,
    { cause: result.error },
  );
}

/** @throws ConfigError where latents are another tokenizer's */
export function requireTokenizer(
  { tokenizerHash, variant }: Pick<LatentPlan, "tokenizerHash" | "variant">,
  { folder, hash }: { folder: string; hash: string },
): void {
  if (tokenizerHash === hash) return;
  throw new ConfigError(
    `Expected latents of the tokenizer ${hash} in ${folder}, received those of ${variant} ${tokenizerHash}. Encode the set with this tokenizer, or name the one that made them.`,
  );
}

/** Open shards of a set, for rows in any order. Close it. */
export class LatentSet {
  readonly manifest: LatentManifest;
  /** Class of each row, -1 for none. */
  readonly labels: Int32Array;
  readonly #shards: { fd: number; offset: number; first: number; count: number }[] = [];

  /** @throws an Error naming a shard that is missing, damaged or of another set */
  constructor(readonly folder: string) {
    this.manifest = readManifest(folder);
    this.labels = new Int32Array(this.manifest.count);
    try {
      let first = 0;
      for (const { file, count } of this.manifest.shards) {
        this.#open(join(folder, file), first, count);
        first += count;
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #open(path: string, first: number, count: number): void {
    const { grid, channels, views, dtype } = this.manifest;
    const { entries } = readSafetensorsHeader(path);
    const moments = entries.get("moments");
    const shape = [count, views, grid[0] * grid[1] * grid[2], 2 * channels];
    if (moments?.dtype !== dtype || String(moments.shape) !== String(shape))
      throw new ConfigError(
        `Expected moments ${dtype} [${shape.join(", ")}] in ${path}, received ${moments ? `${moments.dtype} [${moments.shape.join(", ")}]` : "none"}. Encode the set again.`,
      );
    scope(() => {
      const { labels } = readSafetensors(path, { names: ["labels"] });
      this.labels.set(labels!.toArray() as Int32Array, first);
    });
    this.#shards.push({ fd: openSync(path, "r"), offset: moments.offset, first, count });
  }

  get length(): number {
    return this.manifest.count;
  }

  /** Bytes of one view of one row: mean and log-variance of every token, [L, 2c]. */
  get rowBytes(): number {
    const { grid, channels, dtype } = this.manifest;
    return grid[0] * grid[1] * grid[2] * 2 * channels * dtypeWidth(dtype as DType);
  }

  /** Reads rows, each in one of its views, one after the other: [B, L, 2c] in the set's dtype. */
  read(rows: readonly { readonly row: number; readonly view: number }[]): Uint8Array {
    const { rowBytes } = this;
    const bytes = new Uint8Array(rows.length * rowBytes);
    rows.forEach(({ row, view }, i) => {
      const shard = this.#shards.find(({ first, count }) => row >= first && row < first + count)!;
      const place = (row - shard.first) * this.manifest.views + view;
      const read = readSync(
        shard.fd,
        bytes,
        i * rowBytes,
        rowBytes,
        shard.offset + place * rowBytes,
      );
      if (read !== rowBytes)
        throw new Error(
          `Expected ${rowBytes} bytes for row ${row} in ${this.folder}, received ${read}. A shard was cut short: encode the set again.`,
        );
    });
    return bytes;
  }

  close(): void {
    for (const { fd } of this.#shards.splice(0)) closeSync(fd);
  }
}
