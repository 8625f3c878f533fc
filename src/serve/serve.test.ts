// The service against the model it serves, over HTTP on the loopback: pictures within 1/255 and latents within 1e-5 of what the
// model computes in this process (batches add up in another order). What clients do wrong is refusals.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeModels, pictureOf, png, post } from "../../test/service.js";
import { decodeLatent } from "../codec/decode.js";
import { encodeClip } from "../codec/encode.js";
import { readLatents } from "../codec/latent-file.js";
import type { Clip } from "../media/clip.js";
import { readImage } from "../media/image.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { scope } from "../torch/index.js";
import { createApp } from "./app.js";
import { Engine } from "./engine.js";
import { limitsSchema } from "./limits.js";
import { type Service, startService } from "./server.js";

const { tokenizer, masked, options, dispose } = makeModels();

let service: Service;
let engine: Engine;
beforeAll(async () => {
  const limits = { bodyBytes: 200_000, pixels: 64 * 64, batchWaitMs: 200 };
  [service, engine] = await Promise.all([
    startService({ ...options, port: 0, limits }),
    Engine.start(options),
  ]);
});
afterAll(async () => {
  await Promise.all([service.close(), engine.close()]);
  dispose();
});

const expectedOf = (model: Tokenizer, clip: Clip, keep?: number) =>
  scope(() => decodeLatent(model, { ...encodeClip(model, clip), source: "test" }, { keep }));
const send = (path: string, body: Uint8Array | FormData, type?: string) =>
  post(`${service.url}${path}`, body, type);
const clipOf = async (response: Response) =>
  readImage(new Uint8Array(await response.arrayBuffer()));

function expectNear(actual: Clip, expected: Clip): void {
  expect([actual.height, actual.width]).toEqual([expected.height, expected.width]);
  const worst = actual.bytes.reduce(
    (most, byte, i) => Math.max(most, Math.abs(byte - expected.bytes[i]!)),
    0,
  );
  expect(worst).toBeLessThanOrEqual(1);
}

describe("a request is answered with what the model computes", () => {
  const clip = pictureOf(0);

  test("reconstruct: a picture of the same size, in the format that is asked for", async () => {
    const response = await send("/v1/reconstruct?format=webp", await png(clip), "image/png");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("image/webp");
    expectNear(await clipOf(response), expectedOf(tokenizer, clip));
  });

  test("a form's file does as well as a body", async () => {
    const form = new FormData();
    form.set("file", new Blob([new Uint8Array(await png(clip))]), "../../etc/passwd");
    const response = await send("/v1/reconstruct", form);
    expectNear(await clipOf(response), expectedOf(tokenizer, clip));
  });

  test("encode, then decode", async () => {
    const encoded = await send("/v1/encode", await png(clip), "image/png");
    const file = new Uint8Array(await encoded.arrayBuffer());
    scope(() => {
      const [latent] = readLatents(file).latents;
      const { mean, grid, size } = encodeClip(tokenizer, clip);
      expect(latent).toMatchObject({ grid, size });
      const difference = latent!.mean.sub(mean).abs().amax().item();
      expect(difference).toBeLessThanOrEqual(1e-5);
    });
    const decoded = await send("/v1/decode", file, "application/octet-stream");
    expectNear(await clipOf(decoded), expectedOf(tokenizer, clip));
  });

  test("by the model and the kept tokens that are asked for", async () => {
    const body = await png(clip);
    const few = await clipOf(await send("/v1/reconstruct?model=masked&keep=3", body, "image/png"));
    expectNear(few, expectedOf(masked, clip, 3));
    const all = await clipOf(await send("/v1/reconstruct?model=masked", body, "image/png"));
    expectNear(all, expectedOf(masked, clip));
    expect(all.bytes).not.toEqual(few.bytes);
  });

  test("many at once are computed in batches, and each gets its own", async () => {
    const clips = Array.from({ length: 24 }, (_, i) => pictureOf(i + 1));
    const before = await samplesAndBatches();
    const answers = await Promise.all(
      clips.map(async (each) =>
        clipOf(await send("/v1/reconstruct", await png(each), "image/png")),
      ),
    );
    answers.forEach((answer, i) => {
      expectNear(answer, expectedOf(tokenizer, clips[i]!));
    });
    const [samples, batches] = (await samplesAndBatches()).map((n, i) => n - before[i]!);
    expect(samples).toBe(24);
    expect(batches).toBeLessThan(24);
  });

  const samplesAndBatches = async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return ["vitok_batch_samples_total", "vitok_batches_total"].map((name) =>
      Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)![1]),
    );
  };
});

test("a token, where one is set, is asked for", async () => {
  const app = createApp(engine, { limits: limitsSchema.parse({}), token: "secret" });
  const status = async (authorization?: string) =>
    (
      await app.fetch(
        new Request("http://service/v1/models", {
          headers: { ...(authorization && { authorization }) },
        }),
      )
    ).status;
  expect(await Promise.all([status(), status("Bearer secreT"), status("Bearer secret")])).toEqual([
    ...[401, 401, 200],
  ]);
  expect((await app.fetch(new Request("http://service/health"))).status).toBe(200);
});

test("the description names every route with what it takes and refuses", async () => {
  const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { responses: object }>>;
  };
  expect(Object.keys(document.paths).sort()).toEqual([
    ...["/health", "/metrics", "/v1/decode", "/v1/encode"],
    ...["/v1/generate", "/v1/models", "/v1/reconstruct"],
  ]);
  expect(document.paths["/v1/encode"]!.post!.responses).toHaveProperty("429");
});

test("a service that closes ends what is under way, then refuses connections", async () => {
  const other = await startService({ ...options, port: 0, limits: { batchWaitMs: 300 } });
  const body = new Uint8Array(await png(pictureOf(0)));
  const headers = { "content-type": "image/png" };
  const answer = fetch(`${other.url}/v1/encode`, { method: "POST", body, headers });
  while (!/vitok_samples_waiting 1/.test(await (await fetch(`${other.url}/metrics`)).text()));
  await other.close();
  expect((await answer).status).toBe(200);
  await expect(fetch(`${other.url}/health`)).rejects.toThrow();
});
