// Grids of kernels that walk over groups of eight numbers, 256 threads a block.
import { deviceTraits, type Size } from "../../torch/index.js";

/** Enough blocks to fill the device, at most one for each 256 groups. */
export function overGroups(
  device: string,
  groups: number,
): { blocks: number; size: { grid: Size; block: Size } } {
  const most = 8 * deviceTraits(device).multiprocessors;
  const blocks = Math.max(1, Math.min(Math.ceil(groups / 256), most));
  return { blocks, size: { grid: [blocks], block: [256] } };
}
