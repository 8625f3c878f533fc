// The processes that train together: found by torchrun's environment, joined in one group. What they agree on step by step is
// here; gradients are learner.ts, and who ends the run when a process is lost is liveness.ts.
import { ConfigError } from "../config-error.js";
import { devices, ProcessGroup, pickDevice, scope, Tensor, TorchError } from "../torch/index.js";
import { type Liveness, watchLiveness } from "./liveness.js";
import type { EvaluationShare } from "./recipe.js";

/** One process's place, as torchrun's environment tells it. */
export interface Place {
  readonly rank: number;
  readonly size: number;
  /** Among the processes of this machine: the index of its GPU. */
  readonly localRank: number;
  /** All processes are on this machine, as LOCAL_WORLD_SIZE tells. */
  readonly isLocal: boolean;
  readonly host: string;
  readonly port: number;
  /** torchrun itself serves the meeting point. */
  readonly isServed: boolean;
}

/**
 * The place that RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT tell; undefined where WORLD_SIZE is not set.
 * @throws ConfigError for a variable that is missing or no whole number
 */
export function placeOf(env: NodeJS.ProcessEnv): Place | undefined {
  if (!env.WORLD_SIZE) return undefined;
  const size = wholeNumber(env, "WORLD_SIZE", { from: 1 });
  const rank = wholeNumber(env, "RANK", { below: size });
  const localRank = env.LOCAL_RANK ? wholeNumber(env, "LOCAL_RANK", { below: size }) : 0;
  const host = env.MASTER_ADDR;
  if (!host) throw missing("MASTER_ADDR", "nothing");
  const port = wholeNumber(env, "MASTER_PORT", { from: 1, below: 65536 });
  const isLocal = env.LOCAL_WORLD_SIZE === env.WORLD_SIZE;
  return {
    rank,
    size,
    localRank,
    isLocal,
    host,
    port,
    isServed: env.TORCHELASTIC_USE_AGENT_STORE === "True",
  };
}

function wholeNumber(
  env: NodeJS.ProcessEnv,
  name: string,
  { from = 0, below = Number.POSITIVE_INFINITY }: { from?: number; below?: number },
): number {
  const text = env[name] ?? "";
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= from && value < below) return value;
  const limit = below === Number.POSITIVE_INFINITY ? `at least ${from}` : `${from} to ${below - 1}`;
  throw missing(name, text || "nothing", ` (a whole number, ${limit})`);
}

const missing = (name: string, received: string, what = "") =>
  new ConfigError(
    `Expected ${name}${what} in the environment beside WORLD_SIZE, received ${received}. ` +
      "Start with --nproc N, torchrun or the variables it sets; to train alone, unset WORLD_SIZE.",
  );

export interface TeamOptions {
  /** The recipe's device: auto, cpu or cuda. */
  readonly device: string;
  /** How to go on after a process was lost, for the message. */
  readonly resumeCommand: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** How long a collective may take: rank 0 writes files meanwhile. */
const timeoutMs = 30 * 60_000;

/** All processes of a run; without an environment of several it is this one alone, and every method is the identity. */
export class Team {
  private constructor(
    readonly device: string,
    readonly rank: number,
    readonly size: number,
    readonly isLocal: boolean,
    /** Undefined: alone. */
    readonly group: ProcessGroup | undefined,
    readonly liveness: Liveness | undefined,
  ) {}

  /** Waits for the others. @throws ConfigError for an environment or device that does not fit; TorchError where they do not come */
  static async open({
    device: name,
    resumeCommand,
    env = process.env,
  }: TeamOptions): Promise<Team> {
    const place = placeOf(env);
    if (!place) return new Team(pickDevice(name), 0, 1, true, undefined, undefined);
    const { rank, size, localRank, isLocal, host, port, isServed } = place;
    const device = ownDevice(name, localRank, size);
    const isLoopback = host === "localhost" || host.startsWith("127.");
    const group = new ProcessGroup({
      ...{ rank, size, host, port, isServed, timeoutMs, device },
      interface: env.GLOO_SOCKET_IFNAME ?? (isLoopback ? "127.0.0.1" : ""),
    });
    const share = (value: number) =>
      scope(() => group.broadcast_(Tensor.from([value], [1], { dtype: "float64" })).item());
    const liveness =
      size > 1 ? await watchLiveness({ rank, size, host, resumeCommand, share }) : undefined;
    return new Team(device, rank, size, isLocal, group, liveness);
  }

  /** Rank 0: it writes the files and prints. */
  get isFirst(): boolean {
    return this.rank === 0;
  }

  /** The mean over the processes, name by name; all give the same names. */
  average<T extends Record<string, number>>(record: T): T {
    if (this.size === 1) return record;
    const names = Object.keys(record);
    const means = this.#reduce(Object.values(record), "avg");
    return Object.fromEntries(names.map((name, index) => [name, means[index]!])) as T;
  }

  /** Returns when all have called it. */
  meet(): void {
    if (this.size > 1) this.group!.barrier();
  }

  /** This process's part of an evaluation; undefined alone. */
  share(folder: string): EvaluationShare | undefined {
    if (this.size === 1) return undefined;
    return { part: { index: this.rank, count: this.size }, meet: () => this.meet(), folder };
  }

  /** Whether it is so in any process. */
  any(isSo: boolean): boolean {
    return this.size === 1 ? isSo : this.#reduce([isSo ? 1 : 0], "max")[0] === 1;
  }

  /** @throws an Error where the processes read different numbers from files that should be the same */
  requireSame(value: number, what: string): void {
    if (this.size === 1) return;
    const [least, most] = this.#reduce([-value, value], "max");
    if (-least! === most) return;
    throw new Error(
      `Expected the same ${what} in all processes, received ${-least!} and ${most}. ` +
        "Keep it on a file system that all machines share.",
    );
  }

  /** What every process gives, in rank order: anything JSON can say. */
  gather<T>(value: T): T[] {
    if (!this.group || this.size === 1) return [value];
    const texts = this.gatherBytes(new TextEncoder().encode(JSON.stringify(value)));
    return texts.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as T);
  }

  /** The bytes of every process, in rank order. */
  gatherBytes(bytes: Uint8Array): Uint8Array[] {
    const { group } = this;
    if (!group || this.size === 1) return [bytes];
    return scope(() => {
      const lengths = group.allGather(Tensor.from([bytes.length], [1], { dtype: "float64" }));
      const counts = [...lengths.toArray()].map(Number);
      const longest = Math.max(1, ...counts);
      const padded = new Uint8Array(longest);
      padded.set(bytes);
      const all = group.allGather(Tensor.from(padded)).toBytes();
      return counts.map((count, rank) => all.slice(rank * longest, rank * longest + count));
    });
  }

  /**
   * Runs what takes part in collectives. Where one fails because a process is gone, the watcher that saw it end has the word:
   * it ends this process with the message. Only where none does is the failure thrown.
   */
  async guard<T>(fn: () => Promise<T>): Promise<T> {
    try {
      return await fn();
    } catch (error) {
      const isCollective =
        error instanceof TorchError && /^(_c10d|Reducer|ProcessGroup)/.test(error.operator);
      if (isCollective && this.liveness) await new Promise((go) => setTimeout(go, 5000));
      throw error;
    }
  }

  /** Leaves. `isDone` false: in failure, so the others learn that this process is gone. */
  async close(isDone: boolean): Promise<void> {
    if (isDone) this.group?.barrier();
    await this.liveness?.close(isDone);
    this.group?.dispose(isDone);
  }

  #reduce(values: readonly number[], op: "avg" | "max"): number[] {
    return scope(() => {
      const tensor = Tensor.from(Float64Array.from(values));
      return [...this.group!.allReduce_(tensor, op).toArray()].map(Number);
    });
  }
}

/** Joins the others, runs `fn`, and leaves: in failure so that the others learn of it. */
export async function withTeam<T>(
  options: TeamOptions,
  fn: (team: Team) => Promise<T>,
): Promise<T> {
  const team = await Team.open(options);
  let isDone = false;
  try {
    const result = await team.guard(() => fn(team));
    isDone = true;
    return result;
  } finally {
    await team.close(isDone);
  }
}

/** A GPU of its own for every process of a machine, or the CPU for all. */
function ownDevice(name: string, localRank: number, size: number): string {
  if (name === "cpu" || size === 1) return pickDevice(name);
  const count = devices().length - 1;
  if (name === "auto" && count === 0) return "cpu";
  if (name !== "auto" && name !== "cuda")
    throw new ConfigError(
      `Expected auto, cpu or cuda for device with ${size} processes, received ${name}. Each takes the GPU of its LOCAL_RANK.`,
    );
  if (localRank < count) return `cuda:${localRank}`;
  throw new ConfigError(
    `Expected a GPU for every process of this machine, received LOCAL_RANK ${localRank} and ${count} GPUs. ` +
      "Start at most that many a machine, or set device to cpu.",
  );
}
