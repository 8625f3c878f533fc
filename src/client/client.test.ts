// The client against a service of its own: what it gives back is what the routes answer (serve.test.ts checks those against
// the model). Its types are what scripts/make-client.ts makes of the service's document (exact), and its bundle knows no Node.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientSchema } from "../../scripts/make-client.js";
import { pictureOf, png } from "../../test/service.js";
import { saveTinyGenerator } from "../../test/tiny-generator.js";
import { readLatents } from "../codec/latent-file.js";
import { readImage } from "../media/image.js";
import { type Service, startService } from "../serve/server.js";
import { scope } from "../torch/index.js";
import { type ServiceError, VitokClient } from "./index.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-client-"));
let service: Service;
let client: VitokClient;
beforeAll(async () => {
  await saveTinyGenerator(join(scratch, "dit"), join(scratch, "tokenizer"));
  service = await startService({
    models: ["tokenizer", "dit"].map((name) => ({ name, folder: join(scratch, name) })),
    ...{ device: "cpu", precision: "float32", port: 0, token: "secret" },
    limits: { pixels: 64 * 64 },
  });
  client = new VitokClient(service.url, { token: "secret" });
});
afterAll(async () => {
  await service.close();
  rmSync(scratch, { recursive: true });
});

const blobOf = async (height = 18, width = 23) =>
  new Blob([new Uint8Array(await png(pictureOf(0, height, width)))], { type: "image/png" });
const clipOf = async (file: Blob) => readImage(new Uint8Array(await file.arrayBuffer()));

describe("the client", () => {
  test("encodes, decodes and reconstructs: both ways to the same picture", async () => {
    const picture = await blobOf();
    const latent = await client.encode(picture);
    scope(() => expect(readLatents(latent).latents[0]!.size).toMatchObject({ height: 18 }));
    const decoded = await client.decode(latent);
    const recon = await client.reconstruct(picture, { format: "webp" });
    expect([decoded.type, recon.type]).toEqual(["image/png", "image/webp"]);
    const [a, b] = await Promise.all([clipOf(decoded), clipOf(recon)]);
    expect(a).toMatchObject({ height: 18, width: 23 });
    const worst = a.bytes.reduce(
      (most, byte, i) => Math.max(most, Math.abs(byte - b.bytes[i]!)),
      0,
    );
    expect(worst).toBeLessThanOrEqual(1);
  });

  test("generates samples as files, and lists the models", async () => {
    const samples = await client.generate({ classes: ["box", 2], steps: 2, format: "jpg" });
    expect(samples.map(({ name, seed }) => [name, seed])).toEqual([
      ["box", 0],
      ["cone", 0],
    ]);
    expect(samples[0]!.file.type).toBe("image/jpeg");
    expect(await clipOf(samples[0]!.file)).toMatchObject({ height: 16, width: 16 });
    const models = await client.models();
    expect(models.map(({ name, generator }) => [name, generator?.classes])).toEqual([
      ["tokenizer", undefined],
      ["dit", 3],
    ]);
  });

  test("says what the service refused, and why", async () => {
    const failureOf = (work: Promise<unknown>) =>
      work.then(
        () => undefined,
        (error: ServiceError) => [error.name, error.status, error.message],
      );
    const stranger = new VitokClient(service.url);
    expect(await failureOf(stranger.models())).toEqual([
      ...["ServiceError", 401, expect.stringContaining("Expected the token")],
    ]);
    expect(await failureOf(client.encode(await blobOf(65, 65)))).toEqual([
      ...["ServiceError", 413, expect.stringContaining("4096 pixels")],
    ]);
    expect(await failureOf(client.generate({ classes: ["bax"] }))).toEqual([
      ...["ServiceError", 422, expect.stringContaining('Did you mean "box"?')],
    ]);
    const nowhere = new VitokClient(service.url, {
      fetch: async () => new Response("busy", { status: 503, headers: { "retry-after": "5" } }),
    });
    await expect(nowhere.models()).rejects.toMatchObject({ status: 503, retryAfter: 5 });
  });
});

test("its types are those of the service's document", async () => {
  const path = new URL("schema.ts", import.meta.url);
  expect(readFileSync(path, "utf8"), "run: npx tsx scripts/make-client.ts").toBe(
    await clientSchema(),
  );
});

test("its bundle for browsers is small, and without Node", async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("index.ts", import.meta.url))],
    ...{ bundle: true, write: false, minify: true, format: "esm", platform: "browser" },
  });
  const [{ text } = { text: "" }] = outputFiles;
  expect(text.length).toBeLessThan(20_000);
  expect(text).not.toMatch(/node:|require\(/);
});
