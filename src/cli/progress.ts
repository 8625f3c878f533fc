// How far a long command is: a bar on a terminal, a plain line every few seconds elsewhere; on stderr.
// It measures the rate and the time left itself and prints whatever fields it is given.

import { Presets, SingleBar } from "cli-progress";
import { formatDuration } from "./output.js";

/** What to show beside the count. Shares are 0..1. */
export interface ProgressFields {
  readonly loss?: number;
  /** Samples a second. */
  readonly rate?: number;
  /** What a sample is called: "img" unless told. */
  readonly unit?: string;
  readonly dataWaitShare?: number;
  readonly mfu?: number;
}

export interface Progress {
  /** `done` of `total` are done. */
  update(done: number, fields?: ProgressFields): void;
  /** A line of text above the bar. */
  note(text: string): void;
  stop(): void;
}

interface ProgressOptions {
  readonly total: number;
  /** Where a resumed count begins. */
  readonly start?: number;
  readonly stream?: NodeJS.WriteStream;
  /** Least time between plain lines. */
  readonly everyMs?: number;
}

export function openProgress(label: string, options: ProgressOptions): Progress {
  const { total, start = 0, stream = process.stderr, everyMs = 5000 } = options;
  const remaining = timer(total, start);
  return stream.isTTY
    ? barProgress(label, { total, start, stream, remaining })
    : lineProgress(label, { total, stream, everyMs, remaining });
}

type Remaining = (done: number) => string;

function barProgress(
  label: string,
  {
    total,
    start,
    stream,
    remaining,
  }: { total: number; start: number; stream: NodeJS.WriteStream; remaining: Remaining },
): Progress {
  const format = `${label} {bar} {value}/{total}  {left}  {fields}`;
  // Its graceful exit would swallow the first Ctrl-C, which belongs to the command.
  const bar = new SingleBar(
    { format, stream, barsize: 24, gracefulExit: false },
    Presets.shades_grey,
  );
  bar.start(total, start, { left: "", fields: "" });
  return {
    update: (done, fields = {}) =>
      bar.update(done, { left: remaining(done), fields: describe(fields) }),
    note: (text) => {
      stream.write(`\r\x1b[K${text}\n`);
      bar.render();
    },
    stop: () => bar.stop(),
  };
}

function lineProgress(
  label: string,
  {
    total,
    stream,
    everyMs,
    remaining,
  }: { total: number; stream: NodeJS.WriteStream; everyMs: number; remaining: Remaining },
): Progress {
  let printedMs = Number.NEGATIVE_INFINITY;
  return {
    update: (done, fields = {}) => {
      const left = remaining(done);
      const nowMs = performance.now();
      if (done < total && nowMs - printedMs < everyMs) return;
      printedMs = nowMs;
      const parts = [`${label} ${done}/${total}`, left, describe(fields)];
      stream.write(`${parts.filter(Boolean).join("  ")}\n`);
    },
    note: (text) => void stream.write(`${text}\n`),
    stop: () => {},
  };
}

/** Time left at the pace of late: an average that forgets, because a run's first steps are slow. */
function timer(total: number, start: number): Remaining {
  let last = { done: start, atMs: performance.now() };
  let paceMs: number | undefined;
  return (done) => {
    const atMs = performance.now();
    if (done > last.done) {
      const nowMs = (atMs - last.atMs) / (done - last.done);
      paceMs = paceMs === undefined ? nowMs : 0.9 * paceMs + 0.1 * nowMs;
      last = { done, atMs };
    }
    if (paceMs === undefined || done >= total) return "";
    return `${formatDuration((total - done) * paceMs)} left`;
  };
}

/** The fields in a fixed order: "loss 0.123  38 img/s  data wait 1 %  MFU 41 %". */
export function describe({ loss, rate, unit = "img", dataWaitShare, mfu }: ProgressFields): string {
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const parts = [
    loss === undefined ? "" : `loss ${loss.toPrecision(3)}`,
    rate === undefined ? "" : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} ${unit}/s`,
    dataWaitShare === undefined ? "" : `data wait ${percent(dataWaitShare)}`,
    mfu === undefined ? "" : `MFU ${percent(mfu)}`,
  ];
  return parts.filter(Boolean).join("  ");
}
