// Everything a client can do wrong, and more than a service can do: each is refused with its status, at once, and the service
// goes on. What a service answers is serve.test.ts.
import { type ClientRequest, request } from "node:http";
import { zlibSync } from "fflate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeModels, pictureOf, png, post } from "../../test/service.js";
import { encodeImage } from "../media/image.js";
import { safetensorsBytes } from "../nn/safetensors.js";
import { scope, Tensor } from "../torch/index.js";
import { createApp } from "./app.js";
import { Engine } from "./engine.js";
import { limitsSchema } from "./limits.js";
import { type Service, startService } from "./server.js";

const { options, dispose } = makeModels();
let service: Service;
let engine: Engine;
beforeAll(async () => {
  const limits = { bodyBytes: 200_000, pixels: 64 * 64 };
  [service, engine] = await Promise.all([
    startService({ ...options, port: 0, limits }),
    Engine.start(options),
  ]);
});
afterAll(async () => {
  await Promise.all([service.close(), engine.close()]);
  dispose();
});
const send = (path: string, body: Uint8Array, type: string) =>
  post(`${service.url}${path}`, body, type);

describe("what a client does wrong is its own fault, and the service goes on", () => {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const bomb = () => {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(60_000, 0);
    header.writeUInt32BE(60_000, 4);
    header.set([8, 2], 8);
    const rows = zlibSync(new Uint8Array(1_000_000));
    const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
    const end = chunk("IEND", Buffer.alloc(0));
    return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", rows), end]);
  };
  const jpeg = () => encodeImage(pictureOf(0, 60, 60), "jpg");
  const latentOf = (size: string, channels = 3) =>
    scope(() =>
      safetensorsBytes(
        { "0.mean": Tensor.from(new Float32Array(30 * channels), [30, channels]) },
        { "0.grid": "[1, 5, 6]", "0.size": size },
      ),
    );

  test.each<[string, number, string, () => Promise<Uint8Array> | Uint8Array, string]>([
    ["a bomb of 60,000 x 60,000 pixels", 413, "reconstruct", bomb, "image/png"],
    ["a picture above the limit", 413, "encode", () => png(pictureOf(0, 65, 65)), "image/png"],
    [
      "a truncated JPEG",
      422,
      "reconstruct",
      async () => (await jpeg()).subarray(0, 900),
      "image/jpeg",
    ],
    ["text that poses as a picture", 422, "encode", () => Buffer.from("/etc/passwd"), "image/png"],
    ["another content type", 415, "encode", jpeg, "application/json"],
    ["an empty body", 400, "encode", () => Buffer.alloc(0), "image/png"],
    [
      "a broken form",
      400,
      "encode",
      () => Buffer.from("--x\r\n"),
      "multipart/form-data; boundary=y",
    ],
    ["a body above the limit", 413, "encode", () => Buffer.alloc(300_000), "image/png"],
    [
      "latents that are none",
      422,
      "decode",
      () => Buffer.from("none of it"),
      "application/octet-stream",
    ],
    [
      "latents of another model",
      422,
      "decode",
      () => latentOf("[1, 18, 23]", 5),
      "application/octet-stream",
    ],
    [
      "latents that claim a size too large",
      413,
      "decode",
      () => latentOf("[1, 60000, 60000]"),
      "application/octet-stream",
    ],
    [
      "latents that claim another grid",
      422,
      "decode",
      () => latentOf("[1, 40, 40]"),
      "application/octet-stream",
    ],
    ["a path for a model", 404, "encode?model=../../etc/passwd", jpeg, "image/jpeg"],
    ["kept tokens where none can be kept", 422, "reconstruct?keep=3", jpeg, "image/jpeg"],
    ["an unknown query", 422, "reconstruct?file=/etc/passwd", jpeg, "image/jpeg"],
  ])("%s: %i", async (_, status, route, body, type) => {
    const response = await send(`/v1/${route}`, await body(), type);
    const { error } = (await response.json()) as { error: { status: number; message: string } };
    expect([response.status, error.status]).toEqual([status, status]);
    expect(error.message).toMatch(/^(Expected|Query|the body)/);
    expect((await fetch(`${service.url}/health`)).status).toBe(200);
  });

  test("more kept tokens than there are: 422", async () => {
    const body = await png(pictureOf(0));
    const response = await send("/v1/reconstruct?model=masked&keep=9999", body, "image/png");
    expect(response.status).toBe(422);
  });

  test("an endless upload is cut off once it passes the limit", async () => {
    const { status, sent } = await uploadForever();
    expect(status).toBe(413);
    expect(sent).toBeLessThan(50e6);
  });

  /** Sends until the other side closes. */
  function uploadForever(): Promise<{ status: number; sent: number }> {
    return new Promise((resolve) => {
      const headers = { "content-type": "image/png" };
      let status = 0;
      let sent = 0;
      const upload: ClientRequest = request(`${service.url}/v1/encode`, {
        method: "POST",
        headers,
      });
      const piece = Buffer.alloc(16_384);
      const more = () => {
        while (!upload.destroyed && upload.write(piece)) sent += piece.length;
      };
      upload.on("drain", more).on("response", (response) => {
        status = response.statusCode!;
        response.resume();
      });
      upload.on("error", () => {}).on("close", () => resolve({ status, sent }));
      more();
    });
  }
});

describe("limits in time and number", () => {
  /** A body that begins and never ends. */
  const hanging = () =>
    new Request("http://service/v1/encode", {
      ...{ method: "POST", duplex: "half", headers: { "content-type": "image/png" } },
      body: new ReadableStream({ start: (stream) => stream.enqueue(new Uint8Array(3)) }),
    } as RequestInit);

  test("a slow client is told so after a while", async () => {
    const app = createApp(engine, { limits: limitsSchema.parse({ uploadMs: 30 }) });
    const response = await app.fetch(hanging());
    expect(response.status).toBe(408);
    expect(response.headers.get("connection")).toBe("close");
  });

  test("above the queue's length there is 429, and room again when one has ended", async () => {
    const app = createApp(engine, { limits: limitsSchema.parse({ queue: 2, uploadMs: 300 }) });
    const slow = [app.fetch(hanging()), app.fetch(hanging())];
    const refused = await app.fetch(hanging());
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([408, 408]);
    expect(app.active()).toBe(0);
    expect((await app.fetch(hanging())).status).toBe(408);
  });

  test("a result that takes too long is given up", async () => {
    const app = createApp(engine, {
      limits: limitsSchema.parse({ batchWaitMs: 1e6, computeMs: 20 }),
    });
    const body = new Uint8Array(await png(pictureOf(0)));
    const headers = { "content-type": "image/png" };
    const response = await app.fetch(
      new Request("http://service/v1/encode", { method: "POST", body, headers }),
    );
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
  });
});

/** CRC-32 of PNG's chunks. */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
