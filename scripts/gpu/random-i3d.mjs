// Writes I3D weights drawn at random (He, seed 0): rFVD by them compares models of one run with each other, and with nothing
// else. Usage: node random-i3d.mjs PACKAGE OUT.safetensors, where PACKAGE is the installed vitok's folder.
import { pathToFileURL } from "node:url";

const [root, out] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${root}/dist/${path}`).href);
const { units, logitsShape } = await load("perceptual/i3d-layers.js");
const { Generator, ones, randn, zeros, writeSafetensors } = await load("index.js");

const generator = new Generator(0);
const draw = (shape) =>
  randn(shape, { generator }).mul(Math.sqrt(2 / shape.slice(1).reduce((a, b) => a * b, 1)));
const layers = units.flatMap(({ name, shape }) => [
  [`${name}.conv3d.weight`, draw(shape)],
  [`${name}.bn.weight`, ones([shape[0]])],
  [`${name}.bn.bias`, zeros([shape[0]])],
  [`${name}.bn.running_mean`, zeros([shape[0]])],
  [`${name}.bn.running_var`, ones([shape[0]])],
]);
const tensors = Object.fromEntries([
  ...layers,
  ["logits.conv3d.weight", draw(logitsShape)],
  ["logits.conv3d.bias", zeros([400])],
]);
writeSafetensors(out, tensors, { note: "random weights, seed 0" });
