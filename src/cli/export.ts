// `vitok export MODEL --format onnx|safetensors --out DIR`: the model for other runtimes, or as a folder to share; checked
// against this one.

import { statSync } from "node:fs";
import { basename } from "node:path";
import { checkFolder, exportFolder } from "../export/folder.js";
import { exportOnnx, readExtra } from "../export/onnx.js";
import { checkParity, type Parity, tolerances, worstOf } from "../export/parity.js";
import { type LoadedModel, loadModel } from "./model.js";
import { openOutput, table } from "./output.js";

interface ExportCommandOptions {
  readonly format: "onnx" | "safetensors";
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
  const { format, precision, out } = options;
  const model = await loadModel(target, { device: "cpu", precision });
  const extra = readExtra(model.folder);
  const files =
    format === "onnx"
      ? exportOnnx(model.tokenizer, out, { extra })
      : exportFolder(model.tokenizer, out, extra);
  const sizes = files.map((path) => ({ file: basename(path), bytes: statSync(path).size }));
  output.print(table(sizes.map(({ file, bytes }) => ({ file, MB: (bytes / 1e6).toFixed(2) }))));

  const checked = options.check ? await check(model, options) : undefined;
  model.tokenizer.dispose();
  if (checked) output.print(`\n${table(checked.rows)}`);
  const tolerance = tolerances[precision]!;
  const worst = checked?.worst;
  const isClose = worst === undefined || worst <= tolerance;
  output.print(
    worst === undefined
      ? "\nNot checked against libtorch."
      : `\nLargest difference from the model in libtorch ${worst.toExponential(1)}, allowed ${tolerance}.`,
  );
  const parity = checked?.parity ?? [];
  output.result({ out, format, precision, files: sizes, parity, worst: worst ?? null, tolerance });
  if (!isClose)
    throw new Error(
      `Expected differences of at most ${tolerance} from libtorch, received ${worst}. The files in ${out} should not be used.`,
    );
  return 0;
}

interface Checked {
  readonly worst: number;
  readonly parity: readonly object[];
  readonly rows: Parameters<typeof table>[0];
}

/** ONNX files against the same weights in libtorch; a folder against the float32 weights that it rounds. */
async function check(
  { tokenizer, folder }: LoadedModel,
  { format, out }: ExportCommandOptions,
): Promise<Checked> {
  if (format === "onnx") {
    const parity = await checkParity(tokenizer, out);
    return { parity, worst: worstOf(parity), rows: parity.map(shown) };
  }
  const { tokenizer: original } = await loadModel(folder, { device: "cpu" });
  const rounding = await checkFolder(original, out);
  original.dispose();
  const { mean, recon } = rounding;
  const rows = [{ mean: mean.toExponential(1), recon: recon.toExponential(1) }];
  return { parity: [rounding], worst: Math.max(mean, recon), rows };
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
