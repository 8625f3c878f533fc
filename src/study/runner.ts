// Makes the steps that are missing, several at a time: each as soon as what it needs is there, the first in order first. A step
// that fails takes those that need it with it and no other. Nothing is kept here: whatever ends it, the next run goes on.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Ended, type RunningCommand, type Slot, startCommand } from "./command.js";
import type { Step } from "./plan.js";
import type { StepLock, Store } from "./store.js";

export type StepEvent =
  | { readonly type: "start"; readonly step: Step; readonly slot: Slot }
  | { readonly type: "progress"; readonly step: Step; readonly text: string }
  | { readonly type: "done"; readonly step: Step; readonly elapsedMs: number }
  | { readonly type: "failed"; readonly step: Step; readonly reason: string }
  | { readonly type: "stopped"; readonly step: Step };

export interface RunOptions {
  readonly store: Store;
  /** One step at a time on each. */
  readonly slots: readonly Slot[];
  readonly nproc?: number | undefined;
  /** Aborting it lets trainings save a checkpoint and stop. */
  readonly signal?: AbortSignal;
  /** Aborting it ends them at once. */
  readonly kill?: AbortSignal;
  readonly onEvent?: (event: StepEvent) => void;
}

export interface RunOutcome {
  readonly done: number;
  readonly failed: readonly { readonly step: Step; readonly reason: string }[];
  /** Not made, because what they need failed, or because the run was told to stop. */
  readonly left: number;
}

/** How often to look whether another runner has finished what is waited for. */
const lookMs = 1000;

export async function runSteps(steps: readonly Step[], options: RunOptions): Promise<RunOutcome> {
  const run = new StepRun(steps, options);
  return run.all();
}

class StepRun {
  readonly #waiting: Set<Step>;
  readonly #failed = new Map<string, { step: Step; reason: string }>();
  readonly #free: Slot[];
  readonly #running = new Map<RunningCommand, Promise<void>>();
  #done = 0;

  constructor(
    steps: readonly Step[],
    private readonly options: RunOptions,
  ) {
    this.#waiting = new Set(steps.filter(({ key }) => !options.store.done(key)));
    this.#free = [...options.slots];
  }

  async all(): Promise<RunOutcome> {
    const { signal, kill } = this.options;
    const end = (name: NodeJS.Signals) => () => {
      for (const { child } of this.#running.keys()) child.kill(name);
    };
    const [stop, killAll] = [end("SIGTERM"), end("SIGKILL")];
    signal?.addEventListener("abort", stop);
    kill?.addEventListener("abort", killAll);
    try {
      while (!signal?.aborted && this.#waiting.size) {
        const elsewhere = this.#startReady();
        if (!this.#running.size && !elsewhere) break; // what is left needs what failed
        await Promise.race([...this.#running.values(), ...(elsewhere ? [delay(lookMs)] : [])]);
      }
      await Promise.all(this.#running.values());
    } finally {
      signal?.removeEventListener("abort", stop);
      kill?.removeEventListener("abort", killAll);
    }
    return { done: this.#done, failed: [...this.#failed.values()], left: this.#waiting.size };
  }

  /** Starts what can be started; whether another runner is at a step that is wanted. */
  #startReady(): boolean {
    const { store } = this.options;
    let elsewhere = false;
    for (const step of this.#waiting) {
      if (store.done(step.key)) {
        this.#waiting.delete(step);
        continue;
      }
      if (!this.#free.length) return elsewhere;
      if (!step.needs.every((key) => store.done(key))) continue;
      const lock = store.lock(step);
      if (!lock) elsewhere = true;
      else if (store.done(step.key)) lock.release();
      else this.#start(step, this.#free.shift()!, lock);
    }
    return elsewhere;
  }

  #start(step: Step, slot: Slot, lock: StepLock): void {
    const { store, nproc, onEvent } = this.options;
    this.#waiting.delete(step);
    const startedMs = performance.now();
    onEvent?.({ type: "start", step, slot });
    const onLine = (text: string) => onEvent?.({ type: "progress", step, text });
    const command = startCommand(step, store, { slot, nproc, onLine });
    if (command.child.pid) lock.name(command.child.pid);
    const work = command.ended.then((ended) => {
      this.#conclude(step, ended, { slot, elapsedMs: Math.round(performance.now() - startedMs) });
      lock.release();
      this.#free.push(slot);
      this.#running.delete(command);
    });
    this.#running.set(command, work);
  }

  #conclude(
    step: Step,
    ended: Ended,
    { slot, elapsedMs }: { slot: Slot; elapsedMs: number },
  ): void {
    const { store, signal, onEvent } = this.options;
    const { key, title } = step;
    const at = new Date().toISOString();
    if (ended.code === 0 && ended.result) {
      const device = slot.name;
      store.finish({ key, title, elapsedMs, device, finishedAt: at, result: slim(ended.result) });
      if (step.kind === "train")
        rmSync(join(store.output(key), "checkpoints"), { recursive: true, force: true });
      this.#done++;
      onEvent?.({ type: "done", step, elapsedMs });
    } else if (signal?.aborted) {
      this.#waiting.add(step);
      onEvent?.({ type: "stopped", step });
    } else {
      const reason = reasonOf(ended);
      store.fail({ key, title, reason, failedAt: at });
      this.#failed.set(key, { step, reason });
      onEvent?.({ type: "failed", step, reason });
    }
  }
}

/** Without the scores of every single file, which the step's own scores.json holds. */
function slim(result: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { perImage: _, perClass: __, ...rest } = result;
  return rest;
}

function reasonOf({ code, signal, stderr }: Ended): string {
  const said = stderr.trimEnd().split("\n").slice(-6).join("\n");
  const how = signal ? `ended by ${signal}` : `exit status ${code}`;
  return said ? `${how}: ${said}` : how;
}
