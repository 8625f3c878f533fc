// How far apart two files of tensors are.
import { join } from "node:path";
import { expect } from "vitest";
import { readSafetensors } from "../src/nn/safetensors.js";
import { scope } from "../src/torch/index.js";

/** || a - b || / || b || over all tensors of <name>.safetensors in two folders, which have the same names. */
export function relativeDifference(a: string, b: string, name: string): number {
  return scope(() => {
    const [ours, theirs] = [a, b].map((path) => readSafetensors(join(path, `${name}.safetensors`)));
    expect(Object.keys(ours!).sort()).toEqual(Object.keys(theirs!).sort());
    let [error, total] = [0, 0];
    for (const [key, tensor] of Object.entries(theirs!)) {
      error += ours![key]!.sub(tensor).square().sum().item();
      total += tensor.square().sum().item();
    }
    return Math.sqrt(error / total);
  });
}
