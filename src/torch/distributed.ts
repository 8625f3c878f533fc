// Processes that compute together: a group with the collectives of libtorch's c10d, by TCP on hosts (Gloo) and by NCCL between
// GPUs. Who is in a group and where it meets is told, not looked up: the environment is read in train/. Not the training.

import { noGrad } from "./autograd.js";
import { native } from "./binding.js";
import { call } from "./dispatch.js";
import { naming, TorchError } from "./error.js";
import { scope } from "./scope.js";
import { Tensor } from "./tensor.js";

export interface GroupOptions {
  /** This process, from 0, and the number of all. */
  readonly rank: number;
  readonly size: number;
  /** Where process 0 listens, so that all can find each other. */
  readonly host: string;
  readonly port: number;
  /** The meeting point is another program's, as torchrun's is: nobody in the group opens it. */
  readonly isServed?: boolean;
  /** How long the meeting and any collective may take before it is an error. Default: 10 minutes. */
  readonly timeoutMs?: number;
  /** A GPU of this process's own, "cuda:0": tensors there go through NCCL. Tensors on the host go through Gloo. */
  readonly device?: string;
  /** Gloo: the address or network interface to be reached at. Default: that of the host's name. */
  readonly interface?: string;
}

/** A collective under way. `wait` is needed before the result is read, and once. @throws {TorchError} where a process is gone or late */
export interface Work {
  wait(): Tensor;
}

let made = 0;

/** Every process calls the same methods in the same order, with tensors of the same shapes and dtypes. */
export class ProcessGroup {
  readonly rank: number;
  readonly size: number;
  /** @internal libtorch's operators find the group by it. */
  readonly name: string;

  /** Waits for the other processes. @throws {TorchError} where they do not come in time */
  constructor(options: GroupOptions) {
    const { rank, size, host, port, isServed = false, timeoutMs = 600_000 } = options;
    if (!(Number.isInteger(size) && Number.isInteger(rank) && rank >= 0 && rank < size))
      throw new RangeError(
        `Expected a rank from 0 to size - 1, received rank ${rank} of ${size} processes.`,
      );
    if (!(Number.isInteger(port) && port > 0 && port < 65536))
      throw new RangeError(`Expected a port from 1 to 65535, received ${port}.`);
    this.rank = rank;
    this.size = size;
    this.name = `group-${made++}`;
    const isServer = rank === 0 && !isServed;
    naming("ProcessGroup", [], () =>
      native().createGroup(this.name, {
        ...{ host, port, isServer, rank, size, timeoutMs },
        interface: options.interface ?? "",
      }),
    );
    if (options.device?.startsWith("cuda")) this.#addNccl(options.device, timeoutMs);
  }

  #addNccl(device: string, timeoutMs: number): void {
    const { addNccl } = native();
    if (!addNccl)
      throw new TorchError(
        "ProcessGroup",
        "Expected an addon with its CUDA half and NCCL, found it built without their headers. Install them and run: npx vitok setup",
      );
    naming("ProcessGroup", [], () => addNccl(this.name, device, timeoutMs));
  }

  /** Sums (or averages) over the processes, in place. */
  allReduce_(tensor: Tensor, op: "sum" | "avg" | "min" | "max" = "sum"): Tensor {
    return this.startAllReduce_(tensor, op).wait();
  }
  startAllReduce_(tensor: Tensor, op: "sum" | "avg" | "min" | "max" = "sum"): Work {
    const isMean = op === "avg" && !averages(tensor);
    const work = this.#start("all_reduce_", tensor, isMean ? "sum" : op, this.name);
    return { wait: () => (isMean ? noGrad(() => work.wait().div_(this.size)) : work.wait()) };
  }

  /** As allReduce_, of many tensors of one dtype at once. */
  allReduceAll_(tensors: readonly Tensor[], op: "sum" | "avg" = "sum"): void {
    if (!tensors.length) return;
    const isMean = op === "avg" && !averages(tensors[0]!);
    noGrad(() =>
      scope(() => {
        if (isMean) call<undefined>("_foreach_div_.Scalar", tensors, this.size);
        const name = "_c10d_functional::all_reduce_coalesced_";
        call<Tensor[]>(name, tensors, isMean ? "sum" : op, this.name);
        for (const tensor of tensors) call("_c10d_functional::wait_tensor", tensor);
      }),
    );
  }

  /** Everyone gets process `from`'s elements, in place. */
  broadcast_(tensor: Tensor, from = 0): Tensor {
    return this.#start("broadcast_", tensor, from, this.name).wait();
  }

  /** The processes' tensors joined along their first dimension, in rank order: [n, ...] -> [size n, ...] */
  allGather(tensor: Tensor): Tensor {
    return this.startAllGather(tensor).wait();
  }
  /** `out`, where it is given, receives the result. */
  startAllGather(tensor: Tensor, out?: Tensor): Work {
    return out
      ? this.#start("all_gather_into_tensor_out", tensor, this.size, this.name, out)
      : this.#start("all_gather_into_tensor", tensor, this.size, this.name);
  }

  /** Sums over the processes; each gets its part along the first dimension: [size n, ...] -> [n, ...] */
  reduceScatter(tensor: Tensor): Tensor {
    this.#requireShares(tensor);
    return this.#start("reduce_scatter_tensor", tensor, "sum", this.size, this.name).wait();
  }

  /** As reduceScatter, in place and averaged: the part of this process is right afterwards, what lies around it is not. */
  averageScatter_(tensor: Tensor): Tensor {
    this.#requireShares(tensor);
    return noGrad(() => {
      const isMean = !averages(tensor);
      if (isMean) tensor.div_(this.size);
      const part = this.partOf(tensor);
      const how = [isMean ? "sum" : "avg", this.size, this.name] as const;
      return this.#start("reduce_scatter_tensor_out", tensor, ...how, part).wait();
    });
  }

  /** This process's part along the first dimension, a view. */
  partOf(tensor: Tensor): Tensor {
    const count = tensor.size(0) / this.size;
    return tensor.narrow(0, this.rank * count, count);
  }

  #requireShares(tensor: Tensor): void {
    if (tensor.size(0) % this.size)
      throw new TorchError(
        "reduceScatter",
        `Expected a first dimension that ${this.size} processes can share, received ${tensor}.`,
      );
  }

  /** Returns when all have called it; `device` is where the group's tensors live. */
  barrier(device = "cpu"): void {
    scope(() => this.allReduce_(Tensor.from([1], [1], { device })).item());
  }

  /** Leaves the group; `isOrderly`: as all others do now. Collectives under way have to be waited for before. */
  dispose(isOrderly = false): void {
    native().destroyGroup(this.name, isOrderly);
  }

  #start(operator: string, tensor: Tensor, ...args: (string | number | Tensor)[]): Work {
    const name = `_c10d_functional::${operator}`;
    const pending = noGrad(() => call(name, tensor, ...args));
    return { wait: () => noGrad(() => call("_c10d_functional::wait_tensor", pending)) };
  }
}

/** NCCL does; Gloo can only sum. */
const averages = ({ device }: Tensor) => device.startsWith("cuda");

export interface ReducerOptions {
  /** Each process gets its share of every bucket's mean only, and the leaves' gradients are dropped. */
  readonly isScattered?: boolean;
  /** Send while the backward pass runs; else all at once at the end. */
  readonly overlaps?: boolean;
  /** Each leaf's gradient begins at a multiple of so many elements. Default: 1. */
  readonly alignment?: number;
}

/** Leaves and the flat tensor that holds their gradients one after another; longer where the processes' shares need it. */
export interface Bucket {
  readonly flat: Tensor;
  readonly leaves: readonly Tensor[];
}

/** Sums the gradients of leaves over a group, bucket by bucket, while the backward pass goes on. */
export class Reducer {
  #handle: number;

  constructor(group: ProcessGroup, buckets: readonly Bucket[], options: ReducerOptions = {}) {
    const { isScattered = false, overlaps = true, alignment = 1 } = options;
    const handles = buckets.map(({ flat, leaves }) => ({
      flat: flat.handle,
      leaves: leaves.map((leaf) => leaf.handle),
    }));
    this.#handle = naming("Reducer", [], () =>
      native().createReducer(group.name, handles, { isScattered, overlaps, alignment }),
    );
  }

  /** The backward passes from here to `finish` complete the gradients: call it before the last micro-batch. */
  arm(): void {
    naming("Reducer.arm", [], () => native().armReducer(this.#handle));
  }

  /** Waits for the means: the leaves' gradients are views of the buckets then, or gone where they are scattered. */
  finish(): void {
    naming("Reducer.finish", [], () => native().finishReducer(this.#handle));
  }

  dispose(): void {
    if (this.#handle) native().releaseReducer(this.#handle);
    this.#handle = 0;
  }
}

/** Ends this process at once, from any thread, even where the main thread waits inside a collective. */
export function exitProcess(code: number): never {
  return native().exitProcess(code);
}
