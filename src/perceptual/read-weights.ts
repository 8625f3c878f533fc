// Other people's weight files, by their ending: safetensors, or what torch.save wrote. No code in a file is run;
// TorchScript modules, which are code, are told apart here.
import { readPth } from "../formats/pth.js";
import { isZip, readZipDirectory } from "../formats/zip.js";
import { withBinaryFile } from "../nn/binary-file.js";
import { readSafetensors } from "../nn/safetensors.js";
import type { Tensor } from "../torch/index.js";

/** The tensors of a file by name, on the CPU, in their own dtype. @throws where it is damaged or another kind. */
export function readWeights(path: string): Record<string, Tensor> {
  return path.endsWith(".safetensors") ? readSafetensors(path) : readPth(path);
}

/** Whether a file is a TorchScript module: an archive with a folder of code. */
export function isTorchScript(path: string): boolean {
  return withBinaryFile(
    path,
    (file) =>
      isZip(file) &&
      [...readZipDirectory(file).values()].some(({ name }) => /^[^/]+\/code\//.test(name)),
  );
}
