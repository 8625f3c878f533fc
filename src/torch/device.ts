// Devices, threads and memory of the engine.
import { native } from "./binding.js";

/** Usable devices: "cpu" and every "cuda:N" that answers. */
export function devices(): string[] {
  return ["cpu", ...Array.from({ length: native().deviceCount() }, (_, index) => `cuda:${index}`)];
}

/**
 * The device a name stands for: "auto" is the first GPU, else the CPU; "cuda" is "cuda:0".
 * @throws a RangeError for a GPU that does not answer.
 */
export function pickDevice(name = "auto"): string {
  if (name === "auto") return devices()[1] ?? "cpu";
  const full = name === "cuda" ? "cuda:0" : name;
  if (full.startsWith("cuda") && !devices().includes(full))
    throw new RangeError(
      `Expected a device of this machine (${devices().join(", ")}), received ${name}. Look at npx vitok doctor.`,
    );
  return full;
}

/** Threads an operator may use on the CPU. */
export function setNumThreads(count: number): void {
  native().setNumThreads(count);
}
export function getNumThreads(): number {
  return native().getNumThreads();
}

/** Waits until a CUDA device has done all its work; nothing to wait for elsewhere. */
export function synchronize(device: string): void {
  if (device.startsWith("cuda")) native().synchronize(device);
}

/** Bytes in tensors now, at most since the last reset, and still to be had. */
export function memory(device = "cpu"): {
  allocatedBytes: number;
  peakBytes: number;
  availableBytes: number;
} {
  return native().memory(device);
}
export function resetPeakMemory(device = "cpu"): void {
  native().resetPeakMemory(device);
}
/**
 * Gives back what the engine keeps of freed memory, a GPU's for others to have, the host's to the system. It is kept otherwise
 * because the next step asks for the same again; over a long stream of small and large blocks the host's breaks into pieces.
 */
export function emptyCache(device: string): void {
  native().emptyCache(device);
}

/** Kinds of attention kernel that libtorch picks from, the first that is on and can; all are on at the start. */
export type AttentionKernel = "cudnnAttention" | "flashAttention" | "efficientAttention";

/** The engine's global switches: TensorFloat-32 products, cuDNN's search for the fastest algorithm, deterministic kernels, which attention kernels may be used. */
export function setFlag(
  name: "tf32" | "cudnnBenchmark" | "deterministic" | AttentionKernel,
  on: boolean,
): void {
  native().setFlag(name, on);
}

/** The libtorch the addon was built against. */
export function torchVersion(): string {
  return native().versions().torchBuilt;
}
