// Ours at the shapes of the PyTorch opponent's GPU cases, one JSON line a case. Runs inside the unpacked package's folder.
const { createCase, median, timeRuns } = await import(
  "./node_modules/vitok/dist/cli/bench-cases.js"
);
const { parseVariant, setFlag, memory, resetPeakMemory } = await import("vitok");
setFlag("tf32", true);
setFlag("cudnnBenchmark", true);
for (const [name, batch] of [
  ["train", 128],
  ["encode", 256],
  ["decode", 256],
  ["roundtrip", 256],
]) {
  resetPeakMemory("cuda:0");
  const options = {
    input: { frames: 1, height: 256, width: 256 },
    batch,
    device: "cuda:0",
    precision: "bfloat16",
  };
  const made = createCase(name, parseVariant("S-B/16"), options);
  const times = timeRuns(made.run, { device: "cuda:0", steps: 10, warmup: 4 });
  const ms = median(times);
  console.log(
    JSON.stringify({
      name,
      batch,
      ms: +ms.toFixed(2),
      img_s: +((batch / ms) * 1e3).toFixed(1),
      tflops: +(made.flops / ms / 1e9).toFixed(1),
      peak_mib: Math.round(memory("cuda:0").peakBytes / 2 ** 20),
    }),
  );
  made.dispose();
}
