// Every golden case of the executable specification in PyTorch: outputs within 1e-5 absolute, gradients within 1e-4
// relative (of each gradient's largest element), float32 on the CPU.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Checkpointing } from "../nn/checkpointing.js";
import { parameters } from "../nn/parameters.js";
import { readSafetensors } from "../nn/safetensors.js";
import type { Tensor } from "../torch/index.js";
import { Tokenizer } from "./tokenizer.js";

const root = fileURLToPath(new URL("../../../shared/reference/golden/", import.meta.url));
const cases = existsSync(root) ? readdirSync(root).filter((name) => !name.includes(".")) : [];

const difference = (actual: Tensor, expected: Tensor) => actual.sub(expected).abs().amax().item();

describe.skipIf(!cases.length)("the golden cases (../shared/reference/golden)", () => {
  for (const name of cases) {
    const folder = join(root, name);
    for (const isCheckpointed of [false, true])
      test(`${name} gives the reference's outputs and gradients${isCheckpointed ? ", checkpointed" : ""}`, async () => {
        const tokenizer = await Tokenizer.load(folder);
        const golden = readSafetensors(join(folder, "golden.safetensors")) as Record<
          string,
          Tensor
        >;
        const { keep = undefined } = JSON.parse(
          readFileSync(join(folder, "config.json"), "utf8"),
          (_, value) => value ?? undefined,
        );
        const checkpointing = isCheckpointed ? new Checkpointing() : undefined;

        const posterior = tokenizer.encode(golden.x!, { checkpointing });
        expect(difference(posterior.mean, golden.mean!)).toBeLessThan(1e-5);
        expect(difference(posterior.logvar, golden.logvar!)).toBeLessThan(1e-5);
        expect(Math.abs(posterior.kl().item() - golden.kl!.item())).toBeLessThan(1e-5);

        const recon = tokenizer.decode(posterior.sample(golden.noise!), posterior.grid, {
          keep,
          checkpointing,
        });
        expect(difference(recon, golden.reconstruction!)).toBeLessThan(1e-5);
        const mode = tokenizer.decode(posterior.mode(), posterior.grid, { keep });
        expect(difference(mode, golden.reconstruction_mode!)).toBeLessThan(1e-5);

        const loss = recon.sub(golden.x!).square().mean().add(posterior.kl().mul(1e-3));
        expect(Math.abs(loss.item() - golden.loss!.item())).toBeLessThan(1e-5);
        if (checkpointing) checkpointing.backward(loss);
        else loss.backward();
        for (const [parameter, tensor] of parameters(tokenizer)) {
          const expected = golden[`grad.${parameter}`]!;
          const scale = Math.max(expected.abs().amax().item(), 1e-6);
          expect(difference(tensor.grad!, expected) / scale, parameter).toBeLessThan(1e-4);
        }
      });
  }
});
