// Other people's tokenizers on tiny random weights. References: diffusers' AutoencoderKL itself, and ViTok-v2 written anew in
// PyTorch (test/fixtures/baselines, by scripts/make-baseline-fixtures.py); float32 on the CPU, 1e-4 absolute at values of about 1 to 10.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { readSafetensors, writeSafetensors } from "../nn/safetensors.js";
import { liveTensors, noGrad, scope, type Tensor } from "../torch/index.js";
import { AutoencoderKl } from "./autoencoder-kl.js";
import { batchPatches, pictureOf } from "./patch-batch.js";
import { VitokV2 } from "./vitok-v2.js";

const fixture = (name: string) =>
  fileURLToPath(new URL(`../../test/fixtures/baselines/${name}`, import.meta.url));
const root = mkdtempSync(join(tmpdir(), "vitok-baselines-"));
afterAll(() => rmSync(root, { recursive: true }));

function expectClose(actual: Tensor, expected: Tensor): void {
  expect(actual.shape).toEqual(expected.shape);
  const [a, b] = [actual.toArray() as Float32Array, expected.toArray() as Float32Array];
  const largest = (values: Float32Array) =>
    values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  expect(largest(a.map((x, i) => x - b[i]!))).toBeLessThan(1e-4);
  expect(largest(b)).toBeGreaterThan(0.1);
}

describe("AutoencoderKL", () => {
  it.each(["sd", "flux", "no-attention"])(
    "of %s's layout encodes and decodes as diffusers does",
    (name) => {
      const before = liveTensors();
      const model = AutoencoderKl.load(fixture(name));
      noGrad(() =>
        scope(() => {
          const golden = readSafetensors(join(fixture(name), "golden.safetensors"));
          const code = model.encode(golden.pixels!.unsqueeze(2));
          const tokens = (x: Tensor) => x.flatten(2).transpose(1, 2);
          expectClose(code.mean, tokens(golden.mean!));
          expectClose(code.logvar, tokens(golden.logvar!));
          expectClose(
            model.decode(code.mean, code.grid, { size: code.size }),
            golden.recon!.unsqueeze(2),
          );
        }),
      );
      expect(model.config.patchSize).toBe(4);
      model.dispose();
      expect(liveTensors()).toBe(before);
    },
  );

  it("takes any size and frames, and gives it back", () => {
    const model = AutoencoderKl.load(fixture("sd"));
    noGrad(() =>
      scope(() => {
        const pixels = readSafetensors(join(fixture("sd"), "golden.safetensors")).pixels!;
        const clip = pixels.narrow(2, 0, 13).narrow(3, 0, 9).unsqueeze(0).transpose(1, 2); // [1, 3, 2, 13, 9]
        const { grid, size, ...code } = model.encode(clip);
        expect(grid).toEqual({ t: 2, h: 4, w: 3 });
        expect(() => model.decode(code.mean, grid, { keep: 3 })).toThrow("Leave keep out");
        expect(model.decode(code.mean, grid, { size }).shape).toEqual([1, 3, 2, 13, 9]);
      }),
    );
    model.dispose();
  });

  it("reads a pipeline's folder, and the first checkpoints' names", () => {
    const vae = join(root, "pipeline", "vae");
    mkdirSync(vae, { recursive: true });
    copyFileSync(join(fixture("sd"), "config.json"), join(vae, "config.json"));
    scope(() => {
      const tensors = readSafetensors(join(fixture("sd"), "diffusion_pytorch_model.safetensors"));
      const old = Object.entries(tensors).map(([name, tensor]) => {
        const isAttention = /attentions\.0\.to_.*weight/.test(name);
        const renamed = name
          .replace("to_q", "query")
          .replace("to_k", "key")
          .replace("to_v", "value")
          .replace("to_out.0", "proj_attn");
        return [renamed, isAttention ? tensor.reshape([...tensor.shape, 1, 1]) : tensor] as const;
      });
      writeSafetensors(join(vae, "diffusion_pytorch_model.safetensors"), Object.fromEntries(old));
    });
    expect(AutoencoderKl.isAt(join(root, "pipeline"))).toBe(true);
    const model = AutoencoderKl.load(join(root, "pipeline"));
    noGrad(() =>
      scope(() => {
        const golden = readSafetensors(join(fixture("sd"), "golden.safetensors"));
        const { mean } = model.encode(golden.pixels!.unsqueeze(2));
        expectClose(mean, golden.mean!.flatten(2).transpose(1, 2));
      }),
    );
    model.dispose();
  });

  it("refuses what it does not know, by name", () => {
    const folder = join(root, "odd");
    mkdirSync(folder);
    const config = JSON.parse(readFileSync(join(fixture("sd"), "config.json"), "utf8"));
    writeFileSync(
      join(folder, "config.json"),
      JSON.stringify({ ...config, down_block_types: ["AttnDownEncoderBlock2D"] }),
    );
    expect(() => AutoencoderKl.load(folder)).toThrow("received AttnDownEncoderBlock2D");
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    expect(() => AutoencoderKl.load(folder)).toThrow("diffusion_pytorch_model.safetensors");
    expect(AutoencoderKl.isAt(fixture("vitok-v2"))).toBe(false);
  });
});

describe("ViTok-v2", () => {
  const golden = () => readSafetensors(join(fixture("vitok-v2"), "golden.safetensors"));

  it("finds its sizes in the checkpoint", () => {
    const model = VitokV2.load(fixture("vitok-v2"));
    expect(model.name).toBe("ViTok-v2 w16_d2_h2-w24_d3_h3/1x4x6");
    expect(model.config).toEqual({ patchSize: 4, channels: 6, tubeletSize: 1, latentTokens: 0 });
    model.dispose();
  });

  it("encodes and decodes one picture of any size", () => {
    const before = liveTensors();
    const model = VitokV2.load(fixture("vitok-v2"));
    noGrad(() =>
      scope(() => {
        const { "picture.1": picture, "code.1": code, "patches.1": patches } = golden();
        const encoded = model.encode(picture!.unsqueeze(0).unsqueeze(2)); // 9 x 14
        expect(encoded.grid).toEqual({ t: 1, h: 3, w: 4 });
        expectClose(encoded.mean, code!.unsqueeze(0));
        const { grid, size } = encoded;
        const recon = model.decode(encoded.mean, grid, { size });
        expectClose(
          recon.squeeze(0).squeeze(1),
          pictureOf(patches!.unsqueeze(0), 0, { height: 9, width: 14 }, 4),
        );
      }),
    );
    model.dispose();
    expect(liveTensors()).toBe(before);
  });

  it("gives pictures of many sizes in one batch what each gets alone", () => {
    const model = VitokV2.load(fixture("vitok-v2"));
    noGrad(() =>
      scope(() => {
        const expected = golden();
        const pictures = [0, 1, 2].map((i) => expected[`picture.${i}`]!);
        const batch = batchPatches(pictures, 4, 14);
        expectClose(batch.tokens, expected["batch.tokens"]!);
        const code = model.encodePatches(batch);
        expectClose(code, expected["batch.code"]!);
        const patches = model.decodePatches({ ...batch, tokens: code });
        expectClose(patches, expected["batch.patches"]!);
        pictures.forEach((picture, i) => {
          const alone = expected[`patches.${i}`]!.unsqueeze(0);
          const size = { height: picture.size(1), width: picture.size(2) };
          expectClose(pictureOf(patches, i, size, 4), pictureOf(alone, 0, size, 4));
        });
        expect(() => batchPatches(pictures, 4, 11)).toThrow("at most 11 patches");
      }),
    );
    model.dispose();
  });

  it("writes the checkpoint it read, tensor for tensor, and reads a compiled model's names", () => {
    const model = VitokV2.load(fixture("vitok-v2"));
    const folder = join(root, "written");
    model.save(folder);
    scope(() => {
      const [before, after] = [fixture("vitok-v2"), folder].map((at) =>
        readSafetensors(join(at, "model.safetensors")),
      );
      expect(Object.keys(after!).sort()).toEqual(Object.keys(before!).sort());
      for (const [name, tensor] of Object.entries(before!))
        expect(after![name]!.toArray()).toEqual(tensor.toArray());
      const compiled = Object.entries(before!).map(
        ([name, tensor]) => [`_orig_mod.${name}`, tensor] as const,
      );
      writeSafetensors(join(root, "compiled.safetensors"), Object.fromEntries(compiled));
    });
    model.dispose();
    expect(VitokV2.isAt(join(root, "compiled.safetensors"))).toBe(true);
    VitokV2.load(join(root, "compiled.safetensors")).dispose();
    expect(VitokV2.isAt(fixture("sd"))).toBe(false);
  });

  it("refuses half a checkpoint, naming what is missing", () => {
    scope(() => {
      const tensors = readSafetensors(join(fixture("vitok-v2"), "model.safetensors"));
      const half = Object.entries(tensors).filter(([name]) => !name.startsWith("decoder_blocks"));
      writeSafetensors(join(root, "half.safetensors"), Object.fromEntries(half));
    });
    expect(() => VitokV2.load(join(root, "half.safetensors"))).toThrow(
      "without decoder_blocks.0.ffn.fc2.weight",
    );
  });
});
