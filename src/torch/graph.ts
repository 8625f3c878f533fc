// CUDA graphs: a function's kernels, recorded once and replayed without JavaScript or a launch each. And streams, for
// copies that run beside the computation.

import { native } from "./binding.js";
import { emptyCache } from "./device.js";
import { naming } from "./error.js";
import type { CudaHalf } from "./native-interface.js";
import type { Generator } from "./random.js";
import { keep, scope } from "./scope.js";

/** The CUDA half of the addon. @throws an Error where it was not built. */
function cudaHalf(): CudaHalf {
  const addon = native();
  if ("beginCapture" in addon) return addon as unknown as CudaHalf;
  throw new Error("Expected the engine's CUDA half, found none. Run: npx vitok doctor");
}

/** Whether graphs can be recorded on a device. */
export function hasGraphs(device: string): boolean {
  return device.startsWith("cuda") && "beginCapture" in native();
}

/** A queue of work on the GPU; work of one stream runs in order. */
export class Stream {
  /** @internal */
  readonly id: number;

  constructor(device: string) {
    this.id = naming("Stream", [], () => cudaHalf().createStream(device));
  }

  /** Queues what a function starts here, instead of on the current stream. */
  run<T>(fn: () => T): T {
    const before = cudaHalf().setStream(this.id);
    try {
      return fn();
    } finally {
      cudaHalf().setStream(before);
    }
  }

  /** What is queued here from now on waits for what is now on the device's default stream. */
  waitForDefault(): void {
    cudaHalf().waitStream(this.id, 0);
  }

  /** What is queued on the default stream from now on waits for what is now here. */
  holdDefault(): void {
    cudaHalf().waitStream(0, this.id);
  }
}

export interface GraphOptions {
  readonly device: string;
  /** Runs before the recording, so that everything is compiled, chosen and allocated. */
  readonly warmups?: number;
  /** Generators that the function draws from: each replay goes on where the last one ended. */
  readonly generators?: readonly Generator[];
  /** Where warm-ups and recording run; by default a stream of the graph's own. */
  readonly stream?: Stream;
}

/**
 * Records a function's work on a GPU. It must not wait for the GPU (item(), toArray()), and its inputs and outputs keep
 * their memory: write new inputs in place, read outputs after replay(). What the function returns is kept until dispose().
 */
export class Graph<T> {
  readonly #id: number;
  /** What the function returned; each replay fills its tensors anew. */
  readonly result: T;

  private constructor(id: number, result: T) {
    this.#id = id;
    this.result = result;
  }

  /** @throws {TorchError} where something in the function cannot be recorded; the device goes on as before. */
  static capture<T>(fn: () => T, options: GraphOptions): Graph<T> {
    const { device, warmups = 3, generators = [], stream = new Stream(device) } = options;
    stream.waitForDefault();
    const made = stream.run(() => {
      for (let i = 0; i < warmups; i++) scope(() => void fn());
      emptyCache(device); // the graph has a pool of its own
      return naming("Graph", [], () => {
        const id = cudaHalf().beginCapture(generators.map(({ handle }) => handle));
        let result: T;
        try {
          result = scope(() => keep(fn()));
        } catch (error) {
          abandon(id);
          throw error;
        }
        cudaHalf().endCapture(id);
        return new Graph(id, result);
      });
    });
    stream.holdDefault();
    return made;
  }

  replay(): void {
    cudaHalf().replayGraph(this.#id);
  }

  /** Frees the recording and its memory. The result's tensors are the caller's. */
  dispose(): void {
    cudaHalf().releaseGraph(this.#id);
  }
}

/** Ends a recording that failed. */
function abandon(id: number): void {
  try {
    cudaHalf().endCapture(id);
  } catch {
    // the error that broke the recording tells more
  }
  cudaHalf().releaseGraph(id);
}
