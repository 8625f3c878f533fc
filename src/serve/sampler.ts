// From single samples to batches for the engine and back: which samples go together, and how many at once.
import { type Clip, createClip } from "../media/clip.js";
import type { Grid } from "../nn/rope.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { Batcher } from "./batcher.js";
import type { Engine } from "./engine.js";
import type { Limits } from "./limits.js";
import type { Answer, Task } from "./task.js";

/** Pixels of a batch, so that large pictures are computed one by one. */
const batchPixels = 2 ** 21;

interface Job {
  readonly model: string;
  readonly kind: Task["kind"];
  readonly size: ClipSize;
  readonly grid?: Grid;
  readonly keep: number | undefined;
  /** RGB bytes of a clip, or a latent [L, c]. */
  readonly data: Uint8Array | Float32Array;
}

interface Sample {
  readonly data: Float32Array | Uint8Array;
  readonly grid: Grid;
}

export class Sampler {
  readonly #batcher: Batcher<Job, Sample>;

  constructor(
    private readonly engine: Engine,
    limits: Limits,
    private readonly onBatch: (samples: number) => void,
  ) {
    this.#batcher = new Batcher({
      run: (_, jobs) => this.#run(jobs),
      sizeOf: (key) => {
        const [frames, height, width] = key.split(" ").slice(-3).map(Number) as [
          number,
          number,
          number,
        ];
        const fits = Math.floor(batchPixels / (frames * height * width));
        return Math.max(1, Math.min(limits.batchSize, fits));
      },
      waitMs: limits.batchWaitMs,
      limitMs: limits.computeMs,
    });
  }

  get waiting(): number {
    return this.#batcher.waiting;
  }

  /** The posterior's mean, [L, c]. */
  async encode(
    model: string,
    clip: Clip,
    signal: AbortSignal,
  ): Promise<{ mean: Float32Array; shape: [number, number]; grid: Grid }> {
    const job: Job = {
      model,
      kind: "encode",
      size: sizeOf(clip),
      keep: undefined,
      data: clip.bytes,
    };
    const { data, grid } = await this.#submit(job, signal);
    const { channels } = this.engine.configs[model]!;
    return { mean: data as Float32Array, shape: [data.length / channels, channels], grid };
  }

  async reconstruct(
    model: string,
    { clip, keep }: { clip: Clip; keep: number | undefined },
    signal: AbortSignal,
  ): Promise<Clip> {
    const job: Job = { model, kind: "reconstruct", size: sizeOf(clip), keep, data: clip.bytes };
    const { data } = await this.#submit(job, signal);
    return createClip(data as Uint8Array, job.size);
  }

  async decode(
    model: string,
    {
      latent,
      grid,
      size,
      keep,
    }: { latent: Float32Array; grid: Grid; size: ClipSize; keep: number | undefined },
    signal: AbortSignal,
  ): Promise<Clip> {
    const { data } = await this.#submit(
      { model, kind: "decode", size, grid, keep, data: latent },
      signal,
    );
    return createClip(data as Uint8Array, size);
  }

  #submit(job: Job, signal: AbortSignal): Promise<Sample> {
    const { frames, height, width } = job.size;
    const isMasked = job.keep !== undefined;
    const key = `${job.model} ${job.kind} ${isMasked} ${frames} ${height} ${width}`;
    return this.#batcher.submit(key, job, signal);
  }

  async #run(jobs: readonly Job[]): Promise<Sample[]> {
    const answer = await this.engine.run(taskOf(jobs));
    this.onBatch(jobs.length);
    return split(answer, jobs.length);
  }
}

const sizeOf = ({ frames, height, width }: Clip): ClipSize => ({ frames, height, width });

/** Jobs of one key as one task; their data side by side. */
function taskOf(jobs: readonly Job[]): Task {
  const { model, kind, size, grid, keep, data } = jobs[0]!;
  const length = jobs.length * data.length;
  const joined = data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  jobs.forEach((job, i) => void joined.set(job.data, i * data.length));
  const common = { model, ...(keep !== undefined && { keep: jobs.map((job) => job.keep!) }) };
  if (kind === "decode")
    return { ...common, kind, latents: joined as Float32Array, grid: grid!, size };
  const { frames, height, width } = size;
  return {
    ...common,
    ...{ kind, bytes: joined as Uint8Array, shape: [jobs.length, frames, height, width, 3] },
  };
}

function split({ data, grid }: Answer, count: number): Sample[] {
  const length = data.length / count;
  return Array.from({ length: count }, (_, i) => ({
    data: data.subarray(i * length, (i + 1) * length),
    grid,
  }));
}
