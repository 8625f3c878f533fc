// A step's samples in parts, to save memory: gradients of the parts add up to those of the whole.
import type { Batch } from "../data/batch.js";
import type { Tensor } from "../torch/index.js";

/** A batch in `parts` of equal size, the last one larger where it does not divide. */
export function splitBatch(batch: Batch, parts: number): Batch[] {
  if (parts === 1) return [batch];
  const { bytes, shape, indices, files, labels } = batch;
  const size = Math.floor(shape[0] / parts);
  const stride = bytes.length / shape[0];
  return Array.from({ length: parts }, (_, part) => {
    const [from, to] = [part * size, part === parts - 1 ? shape[0] : (part + 1) * size];
    return {
      ...batch,
      bytes: bytes.subarray(from * stride, to * stride),
      shape: [to - from, ...shape.slice(1)] as unknown as Batch["shape"],
      indices: indices.slice(from, to),
      files: files.slice(from, to),
      labels: labels.slice(from, to),
    };
  });
}

/** The mean of records of numbers, name by name. */
export function averageOf(records: readonly Record<string, number>[]): Record<string, number> {
  const names = Object.keys(records[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [
      name,
      records.reduce((sum, record) => sum + record[name]!, 0) / records.length,
    ]),
  );
}

/** As splitBatch, of tensors along their first dimension. */
export function splitTensors<T extends object>(tensors: T, parts: number): T[] {
  if (parts === 1) return [tensors];
  const entries: [string, Tensor][] = Object.entries(tensors);
  const cut = (x: Tensor, part: number) => {
    const size = Math.floor(x.size(0) / parts);
    return x.narrow(0, part * size, part === parts - 1 ? x.size(0) - part * size : size);
  };
  return Array.from(
    { length: parts },
    (_, part) => Object.fromEntries(entries.map(([name, x]) => [name, cut(x, part)])) as T,
  );
}

/** The mean of each name's numbers. */
export function meansOf(
  numbers: Readonly<Record<string, readonly number[]>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(numbers).map(([name, values]) => [
      name,
      values.reduce((sum, value) => sum + value, 0) / values.length,
    ]),
  );
}
