// How far a study is: on a terminal a table of what runs that is drawn again and again, elsewhere a line an event; on stderr.
import type { Step } from "../study/plan.js";
import type { StepEvent } from "../study/runner.js";
import type { Store } from "../study/store.js";
import { formatDuration, styled } from "./output.js";

export interface StepTable {
  tell(event: StepEvent): void;
  stop(): void;
}

interface TableOptions {
  readonly store: Store;
  readonly isLive: boolean;
  readonly stream?: NodeJS.WriteStream;
}

export function openStepTable(
  steps: readonly Step[],
  { store, isLive, stream = process.stderr }: TableOptions,
): StepTable {
  const counts = { done: steps.filter(({ key }) => store.done(key)).length, failed: 0 };
  const startedMs = performance.now();
  const state = () => {
    const failed = counts.failed ? `, ${counts.failed} failed` : "";
    return `${counts.done}/${steps.length} steps${failed}, ${formatDuration(performance.now() - startedMs)}`;
  };
  const say = (text: string) => stream.write(`${text}\n`);
  const live = isLive ? liveRows(stream, state) : undefined;
  if (!live) say(state());
  return {
    tell: (event) => {
      if (event.type === "done") counts.done++;
      if (event.type === "failed") counts.failed++;
      live?.update(event);
      const line = lineOf(event);
      if (line && live) live.above(line);
      else if (line) say(`[${state()}] ${line}`);
    },
    stop: () => live?.stop(),
  };
}

function lineOf(event: StepEvent): string {
  const { title } = event.step;
  switch (event.type) {
    case "start":
      return `start   ${title} on ${event.slot.name}`;
    case "done":
      return `done    ${title} in ${formatDuration(event.elapsedMs)}`;
    case "failed":
      return `FAILED  ${title}: ${event.reason.split("\n")[0]}`;
    case "stopped":
      return `stopped ${title}`;
    case "progress":
      return "";
  }
}

const drawEveryMs = 250;

/** What runs, a row each, below a line of counts; finished rows scroll away above. */
function liveRows(stream: NodeJS.WriteStream, state: () => string) {
  const rows = new Map<string, { title: string; where: string; text: string }>();
  let drawn = 0;
  let waiting = "";
  const draw = () => {
    const width = Math.max(20, (stream.columns ?? 100) - 1);
    const lines = [...rows.values()].map(({ title, where, text }) =>
      `${where.padEnd(8)}${title.padEnd(34)} ${text}`.slice(0, width),
    );
    lines.push(styled("bold", state(), stream));
    stream.write(`${drawn ? `\x1b[${drawn}A` : ""}\x1b[0J${waiting}${lines.join("\n")}\n`);
    waiting = "";
    drawn = lines.length;
  };
  const timer = setInterval(draw, drawEveryMs);
  return {
    update: (event: StepEvent) => {
      const { key, title } = event.step;
      if (event.type === "start") rows.set(key, { title, where: event.slot.name, text: "" });
      else if (event.type === "progress") {
        const row = rows.get(key);
        if (row) row.text = event.text;
      } else rows.delete(key);
    },
    above: (line: string) => {
      waiting += `${line}\n`;
    },
    stop: () => {
      clearInterval(timer);
      draw();
    },
  };
}
