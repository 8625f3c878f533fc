// A step's samples in parts, to save memory: gradients of the parts add up to those of the whole.
import type { Batch } from "../data/batch.js";

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
