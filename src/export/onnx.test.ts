// Exported files against the model they came from: libtorch and ONNX Runtime on the CPU, tiny random models, batches and
// grids that the tracer has not seen. float32 within 1e-4, float16 within 3e-2, as `vitok export` checks.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession } from "onnxruntime-node";
import { afterAll, describe, expect, test } from "vitest";
import { defineConfig, type TokenizerConfig } from "../tokenizer/config.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { type DType, liveTensors } from "../torch/index.js";
import { exportOnnx } from "./onnx.js";
import { checkParity, tolerances, worstOf } from "./parity.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-export-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const plain = {
  ...{ encoder: { width: 24, depth: 2, heads: 2 }, decoder: { width: 40, depth: 1, heads: 2 } },
  ...{ patchSize: 4, tubeletSize: 1, channels: 3, latentTokens: 0, maskable: false },
};
const create = (changes: Partial<TokenizerConfig>, dtype: DType = "float32") =>
  Tokenizer.create(defineConfig({ ...plain, ...changes }), { seed: 5, dtype });

describe("an exported model computes what libtorch computes", () => {
  test.each<[string, Partial<TokenizerConfig>, DType]>([
    ["of pictures", {}, "float32"],
    ["of clips", { tubeletSize: 2 }, "float32"],
    ["with latent tokens", { latentTokens: 5 }, "float32"],
    ["with a mask token", { maskable: true }, "float32"],
    [
      "of clips with latent and mask tokens",
      { tubeletSize: 3, latentTokens: 6, maskable: true },
      "float32",
    ],
    ["of heads that know no time", { encoder: { width: 16, depth: 1, heads: 4 } }, "float32"],
    ["of pictures, in half precision", {}, "float16"],
    [
      "with latent and mask tokens, in half precision",
      { latentTokens: 5, maskable: true },
      "float16",
    ],
  ])("%s", async (name, changes, dtype) => {
    const folder = join(scratch, name.replaceAll(/\W+/g, "-"));
    const tokenizer = create(changes, dtype);
    const before = liveTensors();
    exportOnnx(tokenizer, folder);
    expect(liveTensors()).toBe(before);
    const parities = await checkParity(tokenizer, folder);
    expect(parities).toHaveLength(3);
    expect(worstOf(parities)).toBeLessThanOrEqual(tolerances[dtype]!);
    tokenizer.dispose();
  });

  test("and another model does not", async () => {
    const folder = join(scratch, "another");
    const [one, another] = [create({}), Tokenizer.create(defineConfig(plain), { seed: 6 })];
    exportOnnx(one, folder);
    expect(worstOf(await checkParity(another, folder))).toBeGreaterThan(tolerances.float32!);
    for (const tokenizer of [one, another]) tokenizer.dispose();
  });

  test("from a file of weights beside it where they are large", async () => {
    const folder = join(scratch, "external");
    const tokenizer = create({});
    const files = exportOnnx(tokenizer, folder, { externalAbove: 1000 });
    const weights = join(folder, "encoder.onnx.data");
    expect(files).toContain(weights);
    expect(statSync(join(folder, "encoder.onnx")).size).toBeLessThan(statSync(weights).size);
    expect(worstOf(await checkParity(tokenizer, folder))).toBeLessThanOrEqual(tolerances.float32!);
    tokenizer.dispose();
  });
});

describe("an exported folder", () => {
  const folder = join(scratch, "told");
  const tokenizer = create({ maskable: true });
  exportOnnx(tokenizer, folder, { extra: { latent_mean: [0.5, 0, 0] } });
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));

  test("keeps weights in one file below the limit", () => {
    expect(existsSync(join(folder, "encoder.onnx.data"))).toBe(false);
  });

  test("says what the model is, in its config and in each file", () => {
    expect(config).toMatchObject({ patch_size: 4, maskable: true, latent_mean: [0.5, 0, 0] });
    expect(config.onnx).toMatchObject({ precision: "float32", encoder: "encoder.onnx" });
    const props = metadataOf(readFileSync(join(folder, "decoder.onnx")));
    expect(props["vitok.variant"]).toBe("Sw24d2h2-Sw40d1h2/1x4x3");
    expect(JSON.parse(props["vitok.config"]!)).toMatchObject({ latent_mean: [0.5, 0, 0] });
  });

  test("names its inputs and outputs, with sizes that are free", async () => {
    const encoder = await InferenceSession.create(join(folder, "encoder.onnx"));
    const decoder = await InferenceSession.create(join(folder, "decoder.onnx"));
    expect(encoder.inputNames).toEqual(["pixels"]);
    expect(encoder.outputNames).toEqual(["mean", "logvar", "grid"]);
    expect(decoder.inputNames).toEqual(["latent", "grid", "keep"]);
    expect(decoder.outputNames).toEqual(["recon"]);
    const shape = ["batch", 3, "frames", "height", "width"];
    expect(encoder.inputMetadata[0]).toMatchObject({ type: "float32", shape });
    await Promise.all([encoder.release(), decoder.release()]);
  });
});

test("weights that another runtime could not read are refused", () => {
  const tokenizer = create({}, "bfloat16");
  expect(() => exportOnnx(tokenizer, join(scratch, "refused"))).toThrow(
    /Expected float32 or float16 weights on the CPU for the export, received bfloat16/,
  );
  tokenizer.dispose();
});

/** ModelProto.metadata_props (field 14), by a reader of its own: top-level fields only. */
function metadataOf(bytes: Uint8Array): Record<string, string> {
  const entries: [string, string][] = [];
  for (const { field, body } of fieldsOf(bytes)) {
    if (field !== 14) continue;
    const [key, value] = [...fieldsOf(body)].map((entry) => new TextDecoder().decode(entry.body));
    entries.push([key!, value!]);
  }
  return Object.fromEntries(entries);
}

function* fieldsOf(bytes: Uint8Array): Generator<{ field: number; body: Uint8Array }> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const length = tag % 8 === 2 ? varint() : 0;
    if (tag % 8 === 0) varint();
    yield { field: Math.floor(tag / 8), body: bytes.subarray(at, at + length) };
    at += length;
  }
}
