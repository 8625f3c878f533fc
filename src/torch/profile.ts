// Libtorch's profiler: every operator and kernel of a stretch of time, as a Chrome trace.
import { native } from "./binding.js";
import { naming } from "./error.js";

/** Runs a function and writes the trace of it to a file (chrome://tracing, Perfetto). */
export function profile<T>(path: string, fn: () => T): T {
  naming("profile", [], () => native().startProfile());
  try {
    return fn();
  } finally {
    naming("profile", [], () => native().stopProfile(path));
  }
}
