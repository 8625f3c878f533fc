// A step that runs ahead: it is queued, and its numbers are read when the next one is under way, so that a GPU never waits for
// JavaScript. After a few runs its work is recorded as one CUDA graph. On the CPU the same code runs at once.
import {
  cat,
  Graph,
  hasGraphs,
  type Inputs,
  keep,
  type Placed,
  StaticInputs,
  Stream,
  scope,
  type Tensor,
} from "../torch/index.js";
import type { RunEvent } from "./recipe.js";

/** By name, the elements of what a step's work gave. */
export type StepNumbers = Record<string, number[]>;

export interface RecordedStepOptions<I extends Inputs> {
  readonly device: string;
  /** The step on inputs that keep their places, giving what is to be read. It must not wait for the GPU. */
  readonly work: (inputs: Placed<I>) => Record<string, Tensor>;
}

export interface StartedStep {
  /** Waits for the step's numbers. */
  read(): StepNumbers;
  /** What is to be known of its start: that it could not be recorded, once, and goes on without. */
  readonly events: readonly RunEvent[];
}

interface Output {
  readonly names: readonly string[];
  readonly counts: readonly number[];
  readonly numbers: Tensor;
}

/** Runs before the recording: kernels are compiled, algorithms chosen, and the steps count. */
const warmups = 3;

export class RecordedStep<I extends Inputs> {
  #inputs: StaticInputs<I> | undefined;
  #graph: Graph<Output> | undefined;
  #runs = 0;
  #cannotRecord: boolean;
  readonly #events: RunEvent[] = [];
  readonly #stream: Stream | undefined;
  /** Two streams to read by, each waiting for one run only; and what was not read yet. */
  readonly #readers: readonly (Stream | undefined)[];
  readonly #unread: [(() => void)?, (() => void)?] = [];

  constructor(private readonly options: RecordedStepOptions<I>) {
    const isGpu = hasGraphs(options.device);
    const stream = () => (isGpu ? new Stream(options.device) : undefined);
    this.#cannotRecord = !isGpu;
    this.#stream = stream();
    this.#readers = [stream(), stream()];
  }

  /** Queues a step on inputs of the shapes of the first ones. */
  start(make: () => I): StartedStep {
    const turn = this.#runs % 2;
    this.#unread[turn]?.(); // the run before the last is over: its buffers are used again
    this.#inputs ??= new StaticInputs(make, this.options.device);
    const inputs = this.#inputs;
    return scope(() => {
      inputs.write(make);
      const read = this.#readLater(this.#run(inputs.tensors), turn);
      return { read, events: this.#events.splice(0) };
    });
  }

  #run(inputs: Placed<I>): Output {
    const work = () => joined(this.options.work(inputs));
    if (this.#runs++ === warmups && !this.#cannotRecord) this.#record(work);
    if (this.#graph) {
      this.#graph.replay();
      return this.#graph.result;
    }
    if (!this.#stream) return work();
    this.#stream.waitForDefault();
    const output = this.#stream.run(work);
    this.#stream.holdDefault();
    return output;
  }

  #record(work: () => Output): void {
    const { device } = this.options;
    try {
      this.#graph = Graph.capture(work, { device, warmups: 0, stream: this.#stream! });
    } catch (error) {
      this.#cannotRecord = true;
      const reason = error instanceof Error ? error.message : String(error);
      this.#events.push({ kind: "graph", text: `steps cannot be recorded: ${reason}` });
    }
  }

  /** The numbers are copied now, because the next run writes them anew. */
  #readLater({ names, counts, numbers }: Output, turn: number): () => StepNumbers {
    const copy = keep(numbers.clone());
    const reader = this.#readers[turn];
    reader?.waitForDefault();
    let values: number[] | undefined;
    const read = () => {
      values ??= Array.from(reader ? reader.run(() => copy.toArray()) : copy.toArray(), Number);
      copy.dispose();
      return values;
    };
    this.#unread[turn] = read;
    return () => separated(read(), { names, counts });
  }

  dispose(): void {
    for (const read of this.#unread) read?.();
    this.#graph?.dispose();
    this.#graph?.result.numbers.dispose();
    this.#inputs?.dispose();
  }
}

function joined(outputs: Record<string, Tensor>): Output {
  const parts = Object.values(outputs).map((x) =>
    x.detach().reshape([-1]).to({ dtype: "float32" }),
  );
  return {
    names: Object.keys(outputs),
    counts: parts.map(({ numel }) => numel),
    numbers: cat(parts),
  };
}

function separated(
  all: number[],
  { names, counts }: Pick<Output, "names" | "counts">,
): StepNumbers {
  let end = 0;
  return Object.fromEntries(
    names.map((name, i) => {
      end += counts[i]!;
      return [name, all.slice(end - counts[i]!, end)];
    }),
  );
}

/** Reads what a step's work gave, now. */
export function readNumbers(outputs: Record<string, Tensor>): StepNumbers {
  const { numbers, ...layout } = scope(() => joined(outputs));
  return separated(Array.from(numbers.toArray(), Number), layout);
}
