// An MLflow run against a server made here that answers as MLflow's REST interface does (checked by hand against MLflow 3).
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LogLine, RunLine, StepLine } from "./log.js";
import { MlflowRun } from "./mlflow.js";

interface Call {
  readonly path: string;
  // biome-ignore lint/suspicious/noExplicitAny: what was sent
  readonly body: any;
  readonly authorization: string | undefined;
}

let server: Server;
let url: string;
let calls: Call[];
let folder: string;
let notes: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "vitok-mlflow-"));
  calls = [];
  notes = [];
  const answers: Record<string, object> = {
    "experiments/create": { experiment_id: "7" },
    "runs/create": { run: { info: { run_id: "abc" } } },
  };
  server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const path = request.url!.replace("/api/2.0/mlflow/", "");
    const body = parts.length > 0 ? JSON.parse(Buffer.concat(parts).toString()) : undefined;
    calls.push({ path, body, authorization: request.headers.authorization });
    const isMissing = path.startsWith("experiments/get-by-name");
    response.writeHead(isMissing ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(isMissing ? { error_code: "NONE" } : (answers[path] ?? {})));
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const open = (env: NodeJS.ProcessEnv = {}) =>
  new MlflowRun({ url, folder, experiment: "vitok", onNote: (text) => notes.push(text), env });

const started = { type: "run", variant: "Ti-Ti/8", config: { train: { steps: 2 } } } as RunLine;
const step = (at: number): StepLine => ({
  ...{ type: "step", step: at, loss: 0.5, terms: { mse: 0.25, kl: null }, lr: 1e-3 },
  ...{ gradNorm: 1, imagesPerSecond: 10, dataWaitShare: 0, memoryMiB: 5, elapsedMs: 9 },
});
const ended = { type: "end", state: "done", step: 2, elapsedMs: 20 } as LogLine;
const bodiesOf = (path: string) => calls.filter((call) => call.path === path).map((c) => c.body);

describe("a run on an MLflow server", () => {
  it("has the recipe as parameters, the log's numbers as metrics, and its state", async () => {
    const run = open();
    for (const line of [started, step(1), step(2), ended]) run.write(line);
    await run.close();
    expect(bodiesOf("experiments/create")).toEqual([{ name: "vitok" }]);
    const batches = bodiesOf("runs/log-batch");
    expect(batches.every(({ run_id }) => run_id === "abc")).toBe(true);
    const params = batches.flatMap((batch) => batch.params);
    expect(params).toContainEqual({ key: "config.train.steps", value: "2" });
    const metrics = batches.flatMap((batch) => batch.metrics);
    expect(metrics).toContainEqual(
      expect.objectContaining({ key: "terms/mse", value: 0.25, step: 2 }),
    );
    expect(metrics.some(({ key }) => key === "terms/kl")).toBe(false); // it was no number
    expect(bodiesOf("runs/update").at(-1)).toMatchObject({ run_id: "abc", status: "FINISHED" });
    expect(notes).toEqual([]);
  });

  it("goes on after a resume as the same run", async () => {
    const first = open();
    first.write(started);
    await first.close();
    const second = open({ MLFLOW_TRACKING_TOKEN: "secret" });
    second.write(started);
    second.write(step(2));
    await second.close();
    expect(bodiesOf("runs/create")).toHaveLength(1);
    expect(calls.at(-1)!.authorization).toBe("Bearer secret");
    expect(bodiesOf("runs/log-batch").at(-1)).toMatchObject({ run_id: "abc", params: [] });
  });

  it("costs a note where nobody answers, and says how much was not sent", async () => {
    server.close();
    server.closeAllConnections();
    const run = open();
    for (const line of [started, step(1), ended]) run.write(line);
    await run.close();
    expect(notes).toHaveLength(2);
    expect(notes[0]).toMatch(/tracking server at http.*goes on without/);
    expect(notes[1]).toMatch(/did not get 7 numbers/);
  });
});
