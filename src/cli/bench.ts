// `vitok bench [VARIANT]`: speed, memory and MFU of encode, decode, round trip and the train step on this machine.

import { requireFloat8 } from "../nn/float8.js";
import { parseVariant, variantName } from "../tokenizer/config.js";
import { costOf, usualSize } from "../tokenizer/cost.js";
import { getNumThreads, memory, pickDevice, resetPeakMemory, setFlag } from "../torch/index.js";
import { measurePeakFlops } from "../train/peak.js";
import { type CaseOptions, caseNames, createCase, median, timeRuns } from "./bench-cases.js";
import { formatCount, openOutput, table } from "./output.js";
import { openProgress } from "./progress.js";

interface BenchOptions {
  readonly size?: number;
  readonly steps?: number;
  readonly batchSize?: number;
  readonly device: string;
  readonly precision: CaseOptions["precision"];
  readonly json?: boolean;
}

const warmup = 3;

export async function run([name]: readonly string[], options: BenchOptions): Promise<void> {
  const output = openOutput(options);
  const device = pickDevice(options.device);
  const onGpu = device.startsWith("cuda");
  if (onGpu) for (const flag of ["tf32", "cudnnBenchmark"] as const) setFlag(flag, true);
  const config = parseVariant(name ?? (onGpu ? "S-B/16" : "Ti-Ti/8"));
  const usual = usualSize(config);
  const side = options.size ?? (name || onGpu ? usual.height : 64);
  const input = { ...usual, height: side, width: side };
  const { precision, batchSize: batch = onGpu ? 64 : 16, steps = 10 } = options;

  const isFloat8 = precision === "float8";
  if (isFloat8) requireFloat8(device); // before anything is measured
  const peakFlops = measurePeakFlops(device, isFloat8 ? "bfloat16" : precision);
  const names = casesFor({ onGpu, isFloat8 });
  const progress = openProgress("bench", { total: names.length });
  const cases = names.map((caseName, i) => {
    const shape = { config, input, batch };
    const measured = measure(caseName, { ...shape, peakFlops, steps, device, precision });
    progress.update(i + 1);
    return measured;
  });
  progress.stop();

  const where = onGpu ? device : `${device}, ${getNumThreads()} threads`;
  const what = `${variantName(config)}, ${batch} x ${input.frames > 1 ? `${input.frames} x ` : ""}${side} x ${side}, ${precision}`;
  output.print(`${what}; ${where}; ${steps} runs after ${warmup}`);
  output.print(
    `Largest matrix product${isFloat8 ? " of bfloat16" : ""}: ${formatCount(peakFlops)}FLOP/s, what MFU is a share of; ${costOf(config, input).tokens} tokens a sample\n`,
  );
  output.print(table(cases.map(rowOf)));
  const variant = variantName(config);
  output.result({ variant, input, batch, precision, device, steps, peakFlops, cases });
}

function casesFor({ onGpu, isFloat8 }: { onGpu: boolean; isFloat8: boolean }) {
  return caseNames.filter((name) => {
    if (isFloat8 && name.startsWith("train")) return false; // nothing learns in 8 bits
    return onGpu || name !== "train-lpips"; // VGG16: minutes on a CPU
  });
}

const rowOf = (measured: ReturnType<typeof measure>) => ({
  case: measured.case,
  "median, ms": measured.medianMs.toFixed(2),
  "fastest to slowest": `${measured.fastestMs.toFixed(2)} to ${measured.slowestMs.toFixed(2)}`,
  "samples/s": measured.samplesPerSecond.toFixed(1),
  "FLOP/s": formatCount(measured.flopsPerSecond),
  MFU: `${(100 * measured.mfu).toFixed(1)} %`,
  "peak, MiB": Math.round(measured.peakBytes / 2 ** 20),
});

interface MeasureOptions extends CaseOptions {
  readonly config: ReturnType<typeof parseVariant>;
  readonly peakFlops: number;
  readonly steps: number;
}

function measure(name: (typeof caseNames)[number], options: MeasureOptions) {
  const { config, device, batch, steps, peakFlops } = options;
  const benchCase = createCase(name, config, options);
  try {
    for (let i = 0; i < warmup; i++) benchCase.run();
    resetPeakMemory(device);
    const times = timeRuns(benchCase.run, { device, steps, warmup: 0 });
    const medianMs = median(times);
    const flopsPerSecond = (benchCase.flops / medianMs) * 1000;
    return {
      case: name,
      medianMs,
      fastestMs: Math.min(...times),
      slowestMs: Math.max(...times),
      samplesPerSecond: (batch / medianMs) * 1000,
      flopsPerSecond,
      mfu: flopsPerSecond / peakFlops,
      peakBytes: memory(device).peakBytes,
    };
  } finally {
    benchCase.dispose();
  }
}
