// The second half of a bias's gradient: other kernels leave it in parts, this adds them up.
import { int, type KernelStep, loadKernel } from "../../torch/index.js";

/** parts [count, columns] float32 -> sums [columns]; both named in the plan. */
export function columnSum(
  device: string,
  { parts, sums, count, columns }: { parts: string; sums: string; count: number; columns: number },
): KernelStep {
  return {
    kernel: loadKernel("column-sum", "column_sum", device),
    grid: [Math.ceil(columns / 32)],
    block: [1024],
    args: [parts, sums, int(count), int(columns)],
  };
}
