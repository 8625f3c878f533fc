// What the tests of the service share: two tiny random models in a folder, pictures, and how they are sent.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clip, createClip } from "../src/media/clip.js";
import { encodeImage } from "../src/media/image.js";
import { defineConfig } from "../src/tokenizer/config.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";

const tower = { width: 24, depth: 1, heads: 2 };
const plain = {
  ...{ encoder: tower, decoder: tower, patchSize: 4, tubeletSize: 1 },
  ...{ channels: 3, latentTokens: 0, maskable: false },
};

/** Models called plain and masked, saved, with the options that a service is started with. */
export function makeModels() {
  const scratch = mkdtempSync(join(tmpdir(), "vitok-serve-"));
  const tokenizer = Tokenizer.create(defineConfig(plain), { seed: 3 });
  const masked = Tokenizer.create(defineConfig({ ...plain, maskable: true }), { seed: 4 });
  tokenizer.save(join(scratch, "plain"));
  masked.save(join(scratch, "masked"));
  const models = ["plain", "masked"].map((name) => ({ name, folder: join(scratch, name) }));
  const dispose = () => {
    for (const model of [tokenizer, masked]) model.dispose();
    rmSync(scratch, { recursive: true });
  };
  const options = { models, device: "cpu", precision: "float32" as const };
  return { tokenizer, masked, options, dispose };
}

/** A picture of its own for every seed. */
export function pictureOf(seed: number, height = 18, width = 23): Clip {
  const bytes = Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * (7 + seed)) % 251);
  return createClip(bytes, { height, width });
}

export const png = (clip: Clip) => encodeImage(clip, "png");

/** POST to a service by its address. */
export const post = (url: string, body: Uint8Array | FormData, type?: string) =>
  fetch(url, {
    ...{ method: "POST", body: body as BodyInit },
    headers: { ...(type && { "content-type": type }) },
  });
