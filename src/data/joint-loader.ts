// Pictures and videos in one run: every batch is of one kind, and which kind a step sees follows from its number, so that one
// number is the whole state here, too. Each kind is read by a loader of its own.
import type { Batch } from "./batch.js";
import type { BatchStream } from "./batch-stream.js";
import type { Source } from "./source.js";

/** What a training loop reads from. */
export type BatchReader = Pick<
  BatchStream,
  "next" | "close" | "sample" | "unreadable" | "newlyUnreadable" | "waitMs"
>;

export interface JointOptions {
  /** Share of the steps that see pictures, spread evenly: 0 to 1, both excluded. */
  readonly share: number;
  /** Samples of a step of either kind. */
  readonly batchSize: number;
  /** `sample` of a reader that stopped. */
  readonly startSample: number;
}

/** Steps before `step` that see pictures. */
export const pictureSteps = (step: number, share: number): number => Math.floor(step * share);

export class JointLoader implements BatchReader {
  readonly #pictures: BatchStream;
  readonly #videos: BatchStream;
  #step: number;

  /** `open` makes a loader that starts at a sample of its own. */
  constructor(
    open: Record<"videos" | "pictures", (startSample: number) => BatchStream>,
    private readonly options: JointOptions,
  ) {
    const { batchSize, share, startSample } = options;
    this.#step = startSample / batchSize;
    const before = pictureSteps(this.#step, share);
    this.#pictures = open.pictures(before * batchSize);
    this.#videos = open.videos((this.#step - before) * batchSize);
  }

  get sample(): number {
    return this.#step * this.options.batchSize;
  }

  get waitMs(): number {
    return this.#pictures.waitMs + this.#videos.waitMs;
  }

  get unreadable(): BatchStream["unreadable"] {
    return [...this.#videos.unreadable, ...this.#pictures.unreadable];
  }

  newlyUnreadable(): ReturnType<BatchStream["newlyUnreadable"]> {
    return [...this.#videos.newlyUnreadable(), ...this.#pictures.newlyUnreadable()];
  }

  /** The step's batch. Its indices are told apart by kind, for they key the noise of the posterior. */
  async next(): Promise<Batch | undefined> {
    const { share } = this.options;
    const isPicture = pictureSteps(this.#step + 1, share) > pictureSteps(this.#step, share);
    const batch = await (isPicture ? this.#pictures : this.#videos).next();
    if (!batch) return undefined;
    this.#step++;
    return { ...batch, indices: batch.indices.map((index) => 2 * index + Number(isPicture)) };
  }

  close(): void {
    this.#pictures.close();
    this.#videos.close();
  }
}

/** Pictures as clips of `frames` equal frames, which is what a picture is to a model with tubelets of several frames. */
export function stillClips(source: Source, frames: number): Source {
  const { name, length, classes } = source;
  return {
    ...{ name, length, classes },
    id: (index) => source.id(index),
    label: (index) => source.label(index),
    ...(source.order ? { order: (request) => source.order!(request) } : {}),
    ...(source.origin ? { origin: { ...source.origin, frames } } : {}),
    async load(index) {
      const { bytes, height, width } = await source.load(index);
      const repeated = new Uint8Array(frames * bytes.length);
      for (let frame = 0; frame < frames; frame++) repeated.set(bytes, frame * bytes.length);
      return { bytes: repeated, frames, height, width };
    },
  };
}
