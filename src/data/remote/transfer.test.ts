// Transfers from a server on this machine that fails in every way we know; what arrives is exactly the file. Pauses and
// stalls are a few milliseconds here, and no test depends on how long anything takes.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Fault, type FlakyServer, startFlakyServer } from "../../../test/flaky-server.js";
import { type Ask, transfer, transferBytes, transferRange } from "./transfer.js";

const policy = { attempts: 4, pauseMs: 1, stallMs: 2000 };
const body = randomBytes(300_000);
let server: FlakyServer;

beforeAll(async () => {
  server = await startFlakyServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.files.clear();
  server.files.set("/file", body);
  server.log.length = 0;
  server.faults.length = 0;
});

/** toEqual compares byte by byte, slowly. */
const expectBytes = (actual: Uint8Array, expected: Uint8Array) =>
  expect(Buffer.compare(actual, expected)).toBe(0);

const ask: Ask = (headers, signal) => fetch(`${server.url}/file`, { headers, signal });

describe("a transfer", () => {
  it("brings the bytes in one request where all is well", async () => {
    expectBytes(await transferBytes("file", ask, policy), body);
    expect(server.log).toEqual(["GET /file"]);
  });

  it.each<[string, Fault[], number]>([
    ["a connection refused at once", ["drop at once", "drop at once"], 3],
    ["a connection dropped midway, twice", ["drop midway", "drop midway"], 3],
    ["a busy server", [503, 500], 3],
    ["a range that is not what was asked for", ["drop midway", "wrong range"], 3],
    ["a server that knows no ranges", ["drop midway", "ignore range"], 2],
    ["a range beyond the end", ["drop midway", 416], 3],
    [
      "more failures than allowed in a row, with progress between",
      Array(9).fill("drop midway"),
      10,
    ],
  ])("gets over %s", async (_, faults, requests) => {
    server.faults.push(...faults);
    expectBytes(await transferBytes("file", ask, policy), body);
    expect(server.log).toHaveLength(requests);
  });

  it("goes on where it stopped", async () => {
    server.faults.push("stall");
    const parts: Uint8Array[] = [];
    const write = (bytes: Uint8Array) => {
      if (parts.push(bytes) === 1) server.drop();
    };
    const restart = () => expect.unreachable("nothing is wrong with what is here");
    await transfer("file", ask, { sink: { write, restart }, policy });
    expectBytes(Buffer.concat(parts), body);
    expect(server.log[1]).toMatch(/^GET \/file bytes=[1-9]\d*-$/);
  });

  it("counts a connection that brings nothing as dropped", async () => {
    server.faults.push("stall");
    expectBytes(await transferBytes("file", ask, { ...policy, stallMs: 100 }), body);
  });

  it("begins anew where the file has changed meanwhile", async () => {
    const changed = randomBytes(200_000);
    server.faults.push("drop midway");
    const asking: Ask = async (headers, signal) => {
      if (server.log.length === 1) server.files.set("/file", changed);
      return ask(headers, signal);
    };
    expectBytes(await transferBytes("file", asking, policy), changed);
  });

  it("fetches nothing where the copy is current", async () => {
    const parts: Uint8Array[] = [];
    const sink = { write: (bytes: Uint8Array) => void parts.push(bytes), restart: () => undefined };
    const first = await transfer("file", ask, { sink, policy });
    expect(first).toMatchObject({ isNew: true, size: body.length, retries: 0 });
    parts.length = 0;
    const again = await transfer("file", ask, { sink, policy, knownEtag: first.etag });
    expect(again.isNew).toBe(false);
    expect(parts).toEqual([]);
  });

  it("gives up after so many failures in a row, naming the last", async () => {
    server.faults.push(500, 500, 500, 503);
    const failure = transferBytes("the name", ask, policy);
    await expect(failure).rejects.toThrow(
      "the name: cannot be fetched, after 4 attempts: the server answered 503.",
    );
    server.faults.push("drop at once", "drop at once", "drop at once", "drop at once");
    await expect(transferBytes("x", ask, policy)).rejects.toThrow(/after 4 attempts: fetch failed/);
  });

  it("does not ask again for what is not there", async () => {
    server.faults.push(404);
    await expect(transferBytes("x", ask, policy)).rejects.toThrow("x: the server answered 404.");
    expect(server.log).toHaveLength(1);
  });

  it("does not take a full disk for a fault of the file", async () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), {
      syscall: "write",
    });
    const sink = {
      write: () => {
        throw full;
      },
      restart: () => undefined,
    };
    await expect(transfer("x", ask, { sink, policy })).rejects.toBe(full);
  });

  it("does not take a bug for a failure of the network", async () => {
    const broken: Ask = () => Promise.reject(new TypeError("x is not a function"));
    await expect(transferBytes("x", broken, policy)).rejects.toThrow("x is not a function");
  });
});

describe("a range", () => {
  it.each<[string, Fault[]]>([
    ["", []],
    [" over failures", [500, "drop at once", "wrong range"]],
    [" from a server that knows none", ["ignore range"]],
    [" over a dropped body", ["drop midway"]],
  ])("comes%s", async (_, faults) => {
    server.faults.push(...faults);
    const bytes = await transferRange("x", ask, { start: 1000, end: 5000, policy });
    expectBytes(bytes, body.subarray(1000, 5000));
  });
});
