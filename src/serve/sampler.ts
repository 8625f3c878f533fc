// From single samples to batches for the engine and back: which samples go together, and how many at once.
import type { SampleRequest } from "../codec/generate.js";
import { requireTileable, type Tiling, usualTiling } from "../codec/tiling.js";
import { type Clip, createClip } from "../media/clip.js";
import type { Grid } from "../nn/rope.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { Batcher } from "./batcher.js";
import type { Engine } from "./engine.js";
import { HttpError } from "./http-error.js";
import type { Limits } from "./limits.js";
import type { Answer, SamplingWish, Task } from "./task.js";

/** Pixels of a batch, so that large pictures are computed one by one. */
const batchPixels = 2 ** 21;

/** What one request wants of a model. */
export interface Wish {
  readonly model: string;
  readonly keep?: number | undefined;
  readonly signal: AbortSignal;
}

interface TokenizerJob {
  readonly kind: "encode" | "reconstruct" | "decode";
  readonly model: string;
  readonly size: ClipSize;
  /** RGB bytes of a clip, or a latent [L, c]. */
  readonly data: Uint8Array | Float32Array;
  readonly grid?: Grid;
  readonly keep?: number | undefined;
  readonly tiling?: Tiling | undefined;
}

interface GeneratorJob {
  readonly kind: "generate";
  readonly model: string;
  readonly size: ClipSize;
  readonly sample: SampleRequest;
  readonly how: SamplingWish;
}

type Job = TokenizerJob | GeneratorJob;

interface Sample {
  readonly data: Float32Array | Uint8Array;
  readonly grid: Grid;
}

export class Sampler {
  readonly #batcher: Batcher<Job, Sample>;

  constructor(
    private readonly engine: Engine,
    private readonly limits: Limits,
    private readonly onBatch: (samples: number) => void,
  ) {
    this.#batcher = new Batcher({
      run: (_, jobs) => this.#run(jobs),
      sizeOf: (key) => {
        const [single, ...lengths] = key.split(" ").slice(-4);
        const pixels = lengths.map(Number).reduce((product, length) => product * length);
        const fits = single === "alone" ? 1 : Math.floor(batchPixels / pixels);
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
    clip: Clip,
    wish: Wish,
  ): Promise<{ mean: Float32Array; shape: [number, number]; grid: Grid }> {
    const size = sizeOf(clip);
    const { data, grid } = await this.#submit({ kind: "encode", size, data: clip.bytes }, wish);
    const { channels } = this.engine.models[wish.model]!.config;
    return { mean: data as Float32Array, shape: [data.length / channels, channels], grid };
  }

  async reconstruct(clip: Clip, wish: Wish): Promise<Clip> {
    const size = sizeOf(clip);
    const { data } = await this.#submit({ kind: "reconstruct", size, data: clip.bytes }, wish);
    return createClip(data as Uint8Array, size);
  }

  async decode(
    { latent, grid, size }: { latent: Float32Array; grid: Grid; size: ClipSize },
    wish: Wish,
  ): Promise<Clip> {
    const { data } = await this.#submit({ kind: "decode", size, grid, data: latent }, wish);
    return createClip(data as Uint8Array, size);
  }

  /** One clip for each sample; each is the same whoever else asks at the same time. */
  generate(
    samples: readonly SampleRequest[],
    how: SamplingWish,
    { model, signal }: Wish,
  ): Promise<Clip[]> {
    const { size } = this.engine.models[model]!.generator!;
    const key = `${model} ${how.steps} ${how.sampler} ${how.guidance}`;
    return Promise.all(
      samples.map(async (sample) => {
        const job: Job = { kind: "generate", model, size, sample, how };
        const { data } = await this.#batcher.submit(keyOf(key, size), job, signal);
        return createClip(data as Uint8Array, size);
      }),
    );
  }

  #submit(
    wanted: Pick<TokenizerJob, "kind" | "size" | "data" | "grid">,
    { model, keep, signal }: Wish,
  ): Promise<Sample> {
    const { kind, size } = wanted;
    const tiling = this.#windowsFor(model, { size, keep });
    const key = `${model} ${kind} ${keep !== undefined}`;
    const job: Job = { ...wanted, model, keep, tiling };
    return this.#batcher.submit(keyOf(key, size, tiling !== undefined), job, signal);
  }

  /** The windows of an input that is larger than what the model sees at once. @throws HttpError where it cannot be cut */
  #windowsFor(
    model: string,
    { size, keep }: { size: ClipSize; keep: number | undefined },
  ): Tiling | undefined {
    const { config, trained } = this.engine.models[model]!;
    const tiling = usualTiling(config, trained, size);
    const side = tiling.tile * config.patchSize;
    if (size.frames <= tiling.chunk && Math.max(size.height, size.width) <= side) return undefined;
    try {
      requireTileable(config, { source: "the body", keep });
    } catch (error) {
      throw new HttpError(422, (error as Error).message);
    }
    return tiling;
  }

  async #run(jobs: readonly Job[]): Promise<Sample[]> {
    const answer = await this.engine.run(taskOf(jobs, this.limits.computeMs));
    this.onBatch(jobs.length);
    return split(answer, jobs.length);
  }
}

const sizeOf = ({ frames, height, width }: Clip): ClipSize => ({ frames, height, width });

/** Jobs of one key are computed together; its last words say how many. */
const keyOf = (what: string, { frames, height, width }: ClipSize, isAlone = false): string =>
  `${what} ${isAlone ? "alone" : "many"} ${frames} ${height} ${width}`;

/** Jobs of one key as one task; their data side by side. */
function taskOf(jobs: readonly Job[], limitMs: number): Task {
  const first = jobs[0]!;
  const { model, size } = first;
  if (first.kind === "generate") {
    const samples = jobs.flatMap((job) => (job.kind === "generate" ? [job.sample] : []));
    return { model, kind: "generate", samples, how: first.how, limitMs };
  }
  const all = jobs as readonly TokenizerJob[];
  const { kind, grid, keep, data, tiling } = first;
  const length = all.length * data.length;
  const joined = data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  all.forEach((job, i) => void joined.set(job.data, i * data.length));
  const common = {
    ...{ model, size },
    ...(keep !== undefined && { keep: all.map((job) => job.keep!) }),
    ...(tiling && { tiling }),
  };
  return kind === "decode"
    ? { ...common, kind, latents: joined as Float32Array, grid: grid! }
    : { ...common, kind, bytes: joined as Uint8Array };
}

function split({ data, grid }: Answer, count: number): Sample[] {
  const length = data.length / count;
  return Array.from({ length: count }, (_, i) => ({
    data: data.subarray(i * length, (i + 1) * length),
    grid,
  }));
}
