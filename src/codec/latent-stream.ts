// The latent file (latent-file.ts) piece by piece: written while a video is encoded, and read back slice by slice, so that
// no latent has to be in memory whole.
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { replaceFile, writeFully } from "../atomic-file.js";
import { ConfigError } from "../config-error.js";
import type { Grid } from "../nn/rope.js";
import { readSafetensorsHeader } from "../nn/safetensors.js";
import { describeLatents, type Latent, latentMetadata } from "./latent-file.js";
import type { Slab } from "./stream.js";

/** A latent without its numbers. */
export type LatentFacts = Omit<Latent, "mean">;

const copyLength = 2 ** 24; // bytes

/** Writes latents one after the other; nothing appears at `path` before `close`. */
export class LatentWriter {
  readonly #path: string;
  readonly #draft: string;
  readonly #fd: number;
  readonly #entries: { facts: LatentFacts; shape: [number, number]; start: number }[] = [];
  #length = 0;
  #start = 0;

  constructor(path: string) {
    this.#path = path;
    this.#draft = `${path}.${process.pid}.data.tmp`;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(this.#draft, "w+");
  }

  /** Adds numbers to the latent under way. */
  write(values: Float32Array): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#length + done);
    this.#length += bytes.length;
  }

  /** The numbers since the last call are the latent of these facts. */
  end(facts: LatentFacts, channels: number): void {
    const tokens = (this.#length - this.#start) / 4 / channels;
    this.#entries.push({ facts, shape: [tokens, channels], start: this.#start });
    this.#start = this.#length;
  }

  /** Forgets the numbers since the last `end`: of a file that turned out to be damaged. */
  drop(): void {
    this.#length = this.#start; // written over by what comes next, or never copied
  }

  /** Makes the file appear. `model` is the hash of the weights. */
  close(model: string | undefined): void {
    const tensors = this.#entries.map(({ shape, start }, i) => [
      `${i}.mean`,
      {
        dtype: "F32",
        shape,
        data_offsets: [start, start + 4 * shape[0] * shape[1]],
      },
    ]);
    const metadata = latentMetadata(
      this.#entries.map(({ facts }) => facts),
      model,
    );
    const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(tensors) });
    const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(header.length));
    try {
      replaceFile(this.#path, (fd) => {
        writeFully(fd, size);
        writeFully(fd, header);
        this.#copyTo(fd);
      });
    } finally {
      this.abort();
    }
  }

  /** Leaves nothing behind. */
  abort(): void {
    closeSync(this.#fd);
    rmSync(this.#draft, { force: true });
  }

  #copyTo(fd: number): void {
    const piece = Buffer.alloc(Math.min(copyLength, this.#start));
    for (let at = 0; at < this.#start; ) {
      const count = readSync(this.#fd, piece, 0, Math.min(piece.length, this.#start - at), at);
      writeFully(fd, piece.subarray(0, count));
      at += count;
    }
  }
}

/** A latent in a file, whose numbers are read when they are asked for. */
export interface StoredLatent extends LatentFacts {
  /** Tokens and channels. */
  readonly shape: readonly [number, number];
  /** The latent in slabs of about `slices` time slices. */
  slabs(slices: number): AsyncGenerator<Slab, void>;
}

/**
 * Opens a latent file. @throws ConfigError naming the entry that is missing or malformed
 */
export function openLatents(path: string): { latents: StoredLatent[]; model: string | undefined } {
  const { metadata, entries } = readSafetensorsHeader(path);
  const latents = describeLatents({ metadata, entries }, path).map((facts, i) => {
    const { dtype, shape, offset } = entries.get(`${i}.mean`)!;
    if (dtype !== "float32" || shape.length !== 2)
      throw new ConfigError(
        `Expected float32 [tokens, channels] for ${i}.mean in ${path}, received ${dtype} [${shape.join(", ")}]. Encode the files again.`,
      );
    const slabs = (slices: number) =>
      readSlabs(path, { offset, shape: shape as [number, number], grid: facts.grid, slices });
    return { ...facts, shape: shape as [number, number], slabs };
  });
  return { latents, model: metadata.model };
}

interface SlabPlace {
  readonly offset: number;
  readonly shape: readonly [number, number];
  readonly grid: Grid;
  readonly slices: number;
}

async function* readSlabs(
  path: string,
  { offset, shape: [tokens, channels], grid, slices }: SlabPlace,
): AsyncGenerator<Slab, void> {
  const lengthOf = (count: number) => Math.round((tokens * channels * count) / grid.t);
  const fd = openSync(path, "r");
  try {
    for (let t = 0; t < grid.t; t += slices) {
      const count = Math.min(slices, grid.t - t);
      const values = new Float32Array(lengthOf(count));
      const bytes = new Uint8Array(values.buffer);
      for (let done = 0; done < bytes.length; ) {
        const read = readSync(
          fd,
          bytes,
          done,
          bytes.length - done,
          offset + 4 * lengthOf(t) + done,
        );
        if (!read)
          throw new Error(`Expected ${bytes.length} bytes at ${t} in ${path}, received ${done}.`);
        done += read;
      }
      yield { values, slices: count };
    }
  } finally {
    closeSync(fd);
  }
}
