// Kernels of three runs by their names: milliseconds a run, and the GPU's idle share.
import { readFileSync } from "node:fs";

/** `torch` is the engine's module, `run` what is looked at. */
export function kernelTimes({ profile, synchronize }, run, device) {
  const path = `/tmp/trace-${process.pid}.json`;
  profile(path, () => {
    for (let i = 0; i < 3; i++) run();
    synchronize(device);
  });
  const { traceEvents } = JSON.parse(readFileSync(path, "utf8"));
  const kernels = traceEvents.filter(({ cat }) => /kernel|gpu_mem/.test(cat ?? ""));
  const busy = kernels.reduce((sum, { dur }) => sum + dur, 0);
  const span =
    Math.max(...kernels.map(({ ts, dur }) => ts + dur)) - Math.min(...kernels.map(({ ts }) => ts));
  const groups = {};
  const names = {};
  for (const { name, dur } of kernels) {
    const kind = kindOf(name);
    groups[kind] = (groups[kind] ?? 0) + dur / 3e3;
    const short = name.slice(0, 110);
    names[short] ??= { ms: 0, count: 0 };
    names[short].ms += dur / 3e3;
    names[short].count += 1 / 3;
  }
  const top = Object.entries(names)
    .sort((a, b) => b[1].ms - a[1].ms)
    .slice(0, 45)
    .map(([name, { ms, count }]) => `${ms.toFixed(3)} ms ${count.toFixed(0)}x ${name}`);
  return {
    launches: kernels.length / 3,
    busyMs: busy / 3e3,
    idleShare: 1 - busy / span,
    groups,
    top,
  };
}

function kindOf(name) {
  if (
    /add_norm|gated_silu|rotate_(split|within)|bias_relu|similarity|unit_distance|column_sum|adamw|grad_squares|clip_factor|modulate|_boxes|cut_bytes|gaussian|quantise|squared_error|planes/.test(
      name,
    )
  )
    return "ours";
  if (/fmha|flash|sdpa|attention|mha/i.test(name)) return "attention";
  if (/conv|fprop|dgrad|wgrad|implicit|cudnn|nhwc|nchw/i.test(name)) return "convolution";
  if (/gemm|nvjet|cutlass|cublas|splitK/i.test(name)) return "gemm";
  if (/Memcpy|Memset/.test(name)) return "copy";
  return "elementwise";
}
