// `vitok export MODEL --format onnx --out DIR`: the model for other runtimes, checked against this one.

import { statSync } from "node:fs";
import { basename } from "node:path";
import { exportOnnx, readExtra } from "../export/onnx.js";
import { checkParity, type Parity, tolerances, worstOf } from "../export/parity.js";
import { loadModel } from "./model.js";
import { openOutput, table } from "./output.js";

interface ExportCommandOptions {
  readonly out: string;
  readonly precision: "float32" | "float16";
  /** --no-check */
  readonly check: boolean;
  readonly json?: boolean;
}

export async function run(
  [target]: readonly [string],
  options: ExportCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const { precision, out } = options;
  const { tokenizer, folder } = await loadModel(target, { device: "cpu", precision });
  const files = exportOnnx(tokenizer, out, { extra: readExtra(folder) });
  const sizes = files.map((path) => ({ file: basename(path), bytes: statSync(path).size }));
  output.print(table(sizes.map(({ file, bytes }) => ({ file, MB: (bytes / 1e6).toFixed(2) }))));

  const parity = options.check ? await checkParity(tokenizer, out) : [];
  tokenizer.dispose();
  const tolerance = tolerances[precision]!;
  const worst = parity.length ? worstOf(parity) : undefined;
  const isClose = worst === undefined || worst <= tolerance;
  if (parity.length) output.print(`\n${table(parity.map(shown))}`);
  output.print(
    worst === undefined
      ? "\nNot checked against libtorch."
      : `\nLargest difference from libtorch ${worst.toExponential(1)}, allowed ${tolerance}.`,
  );
  output.result({ out, precision, files: sizes, parity, worst: worst ?? null, tolerance });
  if (!isClose)
    throw new Error(
      `Expected differences of at most ${tolerance} from libtorch, received ${worst}. The files in ${out} should not be used.`,
    );
  return 0;
}

function shown({ size, mean, logvar, recon }: Parity): Record<string, string> {
  const [batch, frames, height, width] = size;
  return {
    input: `${batch} of ${frames} x ${height} x ${width}`,
    mean: mean.toExponential(1),
    logvar: logvar.toExponential(1),
    recon: recon.toExponential(1),
  };
}
