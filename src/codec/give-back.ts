// Gives memory back after a chunk of a stream. Frames are buffers outside of JavaScript's heap, which its collector hardly sees:
// on a busy machine it comes late, and a budget of memory is passed by what is dead already.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { emptyCache } from "../torch/index.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Collects garbage, and lets the allocator return what is free: some hundredths of a second. */
export function giveBack(): void {
  collect();
  emptyCache("cpu");
}
