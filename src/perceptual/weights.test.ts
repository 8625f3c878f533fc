// Checks where weight files are looked for, under which names, and what is said when one is
// missing. Empty files suffice.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { findWeights, type WeightName, weightStatus } from "./weights.js";

let folder: string;
const touch = (path: string): string => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), "");
  return join(folder, path);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weights-"));
  vi.stubEnv("VITOK_WEIGHTS", [join(folder, "a"), join(folder, "b")].join(delimiter));
  vi.stubEnv("VITOK_CACHE", join(folder, "cache"));
  vi.stubEnv("TORCH_HOME", join(folder, "torch"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test.each<[WeightName, string]>([
  ["vgg16", "vgg16-397923af.pth"],
  ["vgg16", "vgg16.safetensors"],
  ["alexnet", "alexnet-owt-7be5be79.pth"],
  ["squeezenet", "squeezenet1_1-b8a52dc0.pth"],
  ["squeezenet", "squeezenet1_1.safetensors"],
  ["lpips-vgg", "lpips/vgg.pth"],
  ["lpips-vgg", "lpips/v0.1/vgg.pth"],
  ["lpips-alex", "lpips/weights/v0.1/alex.pth"],
  ["lpips-squeeze", "lpips_squeeze.pth"],
  ["i3d-kinetics-400", "rgb_imagenet.pt"],
  ["i3d-kinetics-400", "i3d_pretrained_400.pt"],
  ["inception-2015", "pt_inception-2015-12-05-6726825d.pth"],
  ["inception-2015", "weights-inception-2015-12-05-6726825d.pth"],
  ["inception-2015", "inception_2015_folded_partial.safetensors"],
  ["inception-2015", "inception-2015-12-05.pt"],
  ["inception-torchvision", "inception_v3_google-0cc3c7bd.pth"],
])("%s is found as %s", (name, file) => {
  const path = touch(`b/${file}`);
  expect(findWeights(name)).toBe(path);
});

test("folders are searched in order: named ones, ours, torchvision's", () => {
  const downloaded = touch("torch/hub/checkpoints/vgg16-397923af.pth");
  expect(findWeights("vgg16")).toBe(downloaded);
  const cached = touch("cache/weights/vgg16.pth");
  expect(findWeights("vgg16")).toBe(cached);
  const second = touch("b/vgg16.pth");
  expect(findWeights("vgg16")).toBe(second);
  const first = touch("a/vgg16.pth");
  expect(findWeights("vgg16")).toBe(first);
});

test("VGG16 with batch norm, another network, is not taken for VGG16", () => {
  touch("a/vgg16_bn-6c64b313.pth");
  expect(() => findWeights("vgg16")).toThrow(/Expected the weights of VGG16/);
});

test("a missing file is an error with the folders, the command and the alternatives", () => {
  expect(() => findWeights("vgg16")).toThrow(join(folder, "a"));
  expect(() => findWeights("vgg16")).toThrow(/torchvision\.models\.vgg16/);
  expect(() => findWeights("vgg16")).toThrow(/losses\.lpips: 0/);
  expect(() => findWeights("vgg16")).toThrow(/losses\.lpipsTrunk/);
});

test("the status lists every file, found or not", () => {
  const path = touch("a/lpips/alex.pth");
  const found = weightStatus().filter((status) => status.path !== null);
  expect(found.map(({ name, path }) => [name, path])).toEqual([["lpips-alex", path]]);
  expect(weightStatus().every(({ get }) => get.length > 0)).toBe(true);
});
