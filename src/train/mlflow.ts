// A run on an MLflow tracking server, by its REST interface: the recipe as parameters, run.jsonl's numbers as metrics, the state.
// It follows and never leads: a server that does not answer costs a note, and the numbers wait. Pictures stay in the run's folder.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import type { Follower } from "./followers.js";
import { type LogLine, numbersOf } from "./log.js";

interface Metric {
  readonly key: string;
  readonly value: number;
  readonly timestamp: number;
  readonly step: number;
}

interface MlflowOptions {
  /** Of the server, such as http://localhost:5000. */
  readonly url: string;
  /** The run's folder: `mlflow.json` there says which run to go on with after a resume. */
  readonly folder: string;
  readonly experiment: string;
  readonly onNote: (text: string) => void;
  readonly env?: NodeJS.ProcessEnv;
}

const statuses = { done: "FINISHED", failed: "FAILED", interrupted: "KILLED" } as const;
/** The most that one request may carry. */
const mostMetrics = 1000;
const mostParameters = 100;
/** While the server does not answer, later numbers are dropped. */
const mostWaiting = 100_000;
const timeoutMs = 10_000;

export class MlflowRun implements Follower {
  #runId: string | undefined;
  readonly #parameters: { key: string; value: string }[] = [];
  readonly #metrics: Metric[] = [];
  #status: string | undefined;
  #sending: Promise<void> | undefined;
  #dropped = 0;
  #hasComplained = false;

  constructor(private readonly options: MlflowOptions) {
    const path = this.#path;
    if (existsSync(path)) this.#runId = JSON.parse(readFileSync(path, "utf8")).runId;
  }

  get #path(): string {
    return join(this.options.folder, "mlflow.json");
  }

  write(line: LogLine): void {
    if (line.type === "run") {
      const facts = { variant: line.variant, device: line.device, version: line.version };
      if (!this.#runId) this.#parameters.push(...flat({ ...facts, config: line.config }));
      this.#status = "RUNNING";
    } else if (line.type === "end") this.#status = statuses[line.state];
    else if ("step" in line) this.#add(line.step, numbersOf(line));
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  }

  picture(): void {}

  /** Sends what waits; says how much was lost. */
  async close(): Promise<void> {
    await this.#sending;
    await this.#send();
    const lost = this.#dropped + this.#metrics.length;
    if (lost > 0)
      this.options.onNote(`MLflow at ${this.options.url} did not get ${lost} numbers of the run.`);
  }

  #add(step: number, numbers: Readonly<Record<string, number | null | undefined>>): void {
    const timestamp = Date.now();
    for (const [key, value] of Object.entries(numbers)) {
      if (value === null || value === undefined || !Number.isFinite(value)) continue;
      if (this.#metrics.length < mostWaiting) this.#metrics.push({ key, value, timestamp, step });
      else this.#dropped++;
    }
  }

  /** Until nothing waits, or the server does not take it. */
  async #send(): Promise<void> {
    try {
      this.#runId ??= await this.#create();
      const run_id = this.#runId;
      while (this.#parameters.length > 0 || this.#metrics.length > 0) {
        const params = this.#parameters.slice(0, mostParameters);
        const metrics = this.#metrics.slice(0, mostMetrics);
        await this.#call("runs/log-batch", { run_id, params, metrics });
        this.#parameters.splice(0, params.length);
        this.#metrics.splice(0, metrics.length);
      }
      if (!this.#status) return;
      const isOver = this.#status !== "RUNNING";
      const status = this.#status;
      this.#status = undefined;
      await this.#call("runs/update", {
        ...{ run_id, status },
        ...(isOver ? { end_time: Date.now() } : {}),
      });
    } catch (error) {
      if (!this.#hasComplained)
        this.options.onNote(`MLflow: ${(error as Error).message} Training goes on without.`);
      this.#hasComplained = true;
    }
  }

  async #create(): Promise<string> {
    const { experiment, folder } = this.options;
    const query = new URLSearchParams({ experiment_name: experiment });
    const found = await this.#call(`experiments/get-by-name?${query}`).catch(
      (error: Error & { status?: number }) => {
        if (error.status === 404) return undefined;
        throw error;
      },
    );
    const experiment_id =
      found?.experiment?.experiment_id ??
      (await this.#call("experiments/create", { name: experiment })).experiment_id;
    const run_name = folder.split("/").filter(Boolean).at(-1);
    const { run } = await this.#call("runs/create", {
      ...{ experiment_id, run_name, start_time: Date.now() },
    });
    const runId: string = run.info.run_id;
    writeFileAtomic(this.#path, `${JSON.stringify({ url: this.options.url, runId })}\n`);
    return runId;
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a server answers is looked at where it is used
  async #call(path: string, body?: object): Promise<any> {
    const { url, env = process.env } = this.options;
    const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user = "" } = env;
    const password = env.MLFLOW_TRACKING_PASSWORD ?? "";
    const basic = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const authorization = token ? `Bearer ${token}` : user && basic;
    const response = await fetch(`${url.replace(/\/$/, "")}/api/2.0/mlflow/${path}`, {
      method: body ? "POST" : "GET",
      headers: {
        "content-type": "application/json",
        ...(authorization ? { authorization } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((cause: Error) => {
      throw new Error(`Expected a tracking server at ${url}, found none (${cause.message}).`);
    });
    if (response.ok) return response.json();
    const text = (await response.text()).slice(0, 200);
    const message = `${url} answered ${response.status} to ${path.split("?")[0]}: ${text}.`;
    throw Object.assign(new Error(message), { status: response.status });
  }
}

/** A recipe's values by their paths; what is longer than the server takes is cut. */
function flat(value: unknown, path = ""): { key: string; value: string }[] {
  if (value === undefined) return [];
  if (value === null || typeof value !== "object" || Array.isArray(value))
    return [{ key: path.slice(0, 250), value: textOf(value).slice(0, 500) }];
  return Object.entries(value).flatMap(([name, inner]) =>
    flat(inner, path ? `${path}.${name}` : name),
  );
}

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value);
