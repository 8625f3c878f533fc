// CUDA kernels of native/kernels/: compiled by NVRTC for the constants they are asked for, once a machine, and launched.
// What a kernel computes is not known here. Kernels with a backward pass: plan.ts.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeFileAtomic } from "../atomic-file.js";
import { native } from "./binding.js";
import { cacheFolder } from "./cache-folder.js";
import { naming } from "./error.js";
import type { Tensor } from "./tensor.js";

/** Compile-time constants: -DNAME=value. */
export type Constants = Readonly<Record<string, number>>;

/** A compiled function. */
export interface Kernel {
  /** @internal */
  readonly id: number;
}

/** What a kernel takes: a tensor's memory, those of several in a struct (null is no address), a 32-bit integer or a float. */
export type KernelArgument =
  | Tensor
  | readonly (Tensor | null)[]
  | { int: number }
  | { float: number };

export const int = (value: number) => ({ int: value });
export const float = (value: number) => ({ float: value });

export type Size = readonly [number, number?, number?];

const sources = fileURLToPath(new URL("../../native/kernels/", import.meta.url));
const kernels = new Map<string, Kernel>();
const modules = new Map<string, ArrayBuffer>();
const traits = new Map<string, { capability: number; multiprocessors: number }>();

let kind: string | undefined;

/** Whether kernels can run on a device. */
export function hasKernels(device: string): boolean {
  kind ??= native().kernelDevice();
  return kind !== "" && device.startsWith(kind);
}

/** Compute capability (90 for 9.0) and count of multiprocessors. */
export function deviceTraits(device: string): { capability: number; multiprocessors: number } {
  let known = traits.get(device);
  if (!known) {
    const [capability, multiprocessors] = native().deviceTraits(device);
    known = { capability, multiprocessors };
    traits.set(device, known);
  }
  return known;
}

/**
 * The kernel `name` of native/kernels/<file>.cu for a device and constants.
 * @throws {TorchError} with the compiler's log.
 */
export function loadKernel(
  file: string,
  name: string,
  device: string,
  constants: Constants = {},
): Kernel {
  const options = Object.entries(constants).map(([key, value]) => `-D${key}=${value}`);
  const key = [file, name, device, ...options].join(" ");
  const known = kernels.get(key);
  if (known) return known;
  const code = compile(file, device, options);
  const kernel = { id: naming(name, [], () => native().loadKernel(code, name)) };
  kernels.set(key, kernel);
  return kernel;
}

function compile(file: string, device: string, constants: readonly string[]): ArrayBuffer {
  const { capability } = deviceTraits(device);
  const suffix = capability === 90 ? "a" : ""; // Hopper's own words, which its successors do not know
  const architecture = `--gpu-architecture=sm_${capability}${suffix}`;
  const options = [architecture, "--std=c++17", ...constants];
  const source = ["common.h", `${file}.cu`].map(sourceOf).join("\n");
  const hash = createHash("sha256")
    .update(JSON.stringify([source, options]))
    .digest("hex");
  const known = modules.get(hash);
  if (known) return known;
  const path = join(cacheFolder(), "kernels", `${file}-${hash.slice(0, 24)}.cubin`);
  const code = existsSync(path)
    ? Uint8Array.from(readFileSync(path)).buffer
    : naming(`${file}.cu`, [], () => native().compileKernels(source, options));
  if (!existsSync(path)) writeFileAtomic(path, new Uint8Array(code));
  modules.set(hash, code);
  return code;
}

/** A file of native/kernels/ with those that it includes. */
function sourceOf(name: string): string {
  const text = readFileSync(join(sources, name), "utf8");
  return text.replace(/^#include "(.+)"$/gm, (_, other: string) => sourceOf(other));
}

/** Runs a kernel on the current stream, without gradient. Tensors are on one device and contiguous. */
export function launch(
  kernel: Kernel,
  { grid, block }: { grid: Size; block: Size },
  args: readonly KernelArgument[],
): void {
  const tensors: number[] = [];
  const slotOf = (tensor: Tensor | null) => (tensor ? tensors.push(tensor.handle) - 1 : -1);
  const encoded = args.map((argument): [string, unknown] => {
    if ("int" in argument) return ["int", argument.int];
    if ("float" in argument) return ["float", argument.float];
    if (Array.isArray(argument)) return ["slots", argument.map(slotOf)];
    return ["slot", slotOf(argument as Tensor)];
  });
  naming("launch", [], () => native().launch(kernel.id, grid, block, encoded, tensors));
}
