// The peak that MFU is a share of: the fastest matrix product this device does, measured now.
import { noGrad, randn, scope, synchronize } from "../torch/index.js";

/** Floating-point operations a second of a square product, the best of a few; about 0.1 s. */
export function measurePeakFlops(
  device: string,
  dtype: "float32" | "bfloat16",
  size = device.startsWith("cuda") ? 8192 : 1024,
): number {
  return scope(() =>
    noGrad(() => {
      const a = randn([size, size], { device }).to({ dtype });
      const times = Array.from({ length: 6 }, () => {
        synchronize(device);
        const startedMs = performance.now();
        scope(() => void a.matmul(a));
        synchronize(device);
        return performance.now() - startedMs;
      });
      return (2 * size ** 3 * 1000) / Math.min(...times);
    }),
  );
}
