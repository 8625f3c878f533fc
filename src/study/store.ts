// Where steps lie: a folder for each key, finished once its done.json is there. A lock with a pulse keeps several runners, on one
// machine or on many that share the folder, from making the same step twice.
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import type { Step } from "./plan.js";

/** What a finished step tells. */
export interface StepRecord {
  readonly key: string;
  readonly title: string;
  readonly elapsedMs: number;
  readonly device: string;
  readonly finishedAt: string;
  /** What the command printed: the metrics and their protocol of a scoring. */
  readonly result: Readonly<Record<string, unknown>>;
}

export interface FailureRecord {
  readonly key: string;
  readonly title: string;
  /** The end of what the command said. */
  readonly reason: string;
  readonly failedAt: string;
}

/** A lock whose runner has given no sign for so long is nobody's. */
const staleMs = 120_000;
const pulseMs = 10_000;

interface LockFacts {
  readonly pid: number;
  readonly host: string;
  /** The command that makes the step. */
  readonly child?: number;
}

export interface StepLock {
  /** Tells who makes the step, so that whoever takes over from a dead runner can end it. */
  name(child: number): void;
  release(): void;
}

export class Store {
  constructor(readonly root: string) {}

  folder(key: string): string {
    return join(this.root, "steps", key);
  }

  /** Where the command of a step writes. */
  output(key: string): string {
    return join(this.folder(key), "output");
  }

  done(key: string): StepRecord | undefined {
    return readJson<StepRecord>(join(this.folder(key), "done.json"));
  }

  failure(key: string): FailureRecord | undefined {
    return this.done(key)
      ? undefined
      : readJson<FailureRecord>(join(this.folder(key), "failed.json"));
  }

  finish(record: StepRecord): void {
    const folder = this.folder(record.key);
    writeFileAtomic(join(folder, "done.json"), `${JSON.stringify(record, null, 2)}\n`);
    rmSync(join(folder, "failed.json"), { force: true });
  }

  fail(record: FailureRecord): void {
    const path = join(this.folder(record.key), "failed.json");
    writeFileAtomic(path, `${JSON.stringify(record, null, 2)}\n`);
  }

  /** The right to make a step; undefined while another has it. */
  lock(step: Step): StepLock | undefined {
    const folder = this.folder(step.key);
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "lock");
    const facts: LockFacts = { pid: process.pid, host: hostname() };
    if (!create(path, facts) && !(takeOver(path, folder) && create(path, facts))) return undefined;
    const pulse = setInterval(() => touch(path), pulseMs);
    pulse.unref();
    return {
      name: (child) => writeFileAtomic(path, JSON.stringify({ ...facts, child })),
      release: () => {
        clearInterval(pulse);
        rmSync(path, { force: true });
      },
    };
  }
}

function readJson<T>(path: string): T | undefined {
  if (!existsSync(path)) return undefined;
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

/** Whole or not at all, and only where there is none. */
function create(path: string, facts: LockFacts): boolean {
  const draft = `${path}.${facts.host}.${facts.pid}`;
  writeFileSync(draft, JSON.stringify(facts));
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function touch(path: string): void {
  const now = new Date();
  if (existsSync(path)) utimesSync(path, now, now);
}

/** Removes a lock whose runner is gone, and ends the command that it left behind; false where the runner lives. */
function takeOver(path: string, folder: string): boolean {
  let facts: LockFacts;
  try {
    facts = JSON.parse(readFileSync(path, "utf8")) as LockFacts;
    const isOurs = facts.host === hostname();
    const silentMs = Date.now() - statSync(path).mtimeMs;
    if (isOurs ? isAlive(facts.pid) : silentMs < staleMs) return false;
    if (isOurs && facts.child && isAbout(facts.child, folder)) process.kill(facts.child, "SIGKILL");
    const grave = `${path}.${process.pid}.old`;
    renameSync(path, grave); // of several that try, one succeeds
    rmSync(grave, { force: true });
    return true;
  } catch {
    return false; // released, or taken over by another, meanwhile
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isDefunct(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Ended, but nobody has asked how: it still answers. */
function isDefunct(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Whether a process is the command of this folder, and not another that got its number. */
function isAbout(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
  } catch {
    return false; // gone, or a system without /proc
  }
}
