// What commands print: people's text or one JSON object on stdout, logs on stderr, tables, colours.
// Progress bars are progress.ts.

import { styleText } from "node:util";

export interface Output {
  readonly json: boolean;
  /** Text for people, on stdout; nothing where the command reports JSON. */
  print(text?: string): void;
  /** A remark on stderr, in either mode. */
  log(text: string): void;
  /** The one object of `--json`; nothing otherwise. */
  result(value: object): void;
}

export function openOutput(options: { readonly json?: unknown }): Output {
  const json = options.json === true;
  return {
    json,
    print: (text = "") => void (json || process.stdout.write(`${text}\n`)),
    log: (text) => void process.stderr.write(`${text}\n`),
    result: (value) => void (json && process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)),
  };
}

type Style = Parameters<typeof styleText>[0];

/** Text in a style, where the stream is a terminal and NO_COLOR does not forbid it. */
export function styled(
  style: Style,
  text: string,
  stream: { isTTY?: boolean } = process.stdout,
): string {
  return stream.isTTY && !process.env.NO_COLOR
    ? styleText(style, text, { validateStream: false })
    : text;
}

/** Columns under a heading, numbers to the right: cells are shown as they are, absent ones as "-". */
export function table(
  rows: readonly Readonly<Record<string, string | number | undefined>>[],
): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((name) => {
    const cells = rows.map((row) => String(row[name] ?? "-"));
    const isNumber = cells.every((cell) => /^[-+\d]/.test(cell));
    const width = Math.max(name.length, ...cells.map((cell) => cell.length));
    const pad = (cell: string) => (isNumber ? cell.padStart(width) : cell.padEnd(width));
    return { heading: pad(name), cells: cells.map(pad) };
  });
  const line = (cells: string[]) => cells.join("  ").trimEnd();
  const heading = styled("bold", line(columns.map((column) => column.heading)));
  return [heading, ...rows.map((_, i) => line(columns.map((column) => column.cells[i]!)))].join(
    "\n",
  );
}

const steps = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
] as const;

/** 128800000 -> "128.8 M": one decimal, in powers of a thousand. */
export function formatCount(value: number): string {
  const [scale, unit] = steps.find(([limit]) => Math.abs(value) >= limit) ?? [];
  return scale ? `${(value / scale).toFixed(1)} ${unit}` : String(value);
}

/** Milliseconds -> "850 ms", "4.2 s", "3 min 05 s", "2 h 07 min". */
export function formatDuration(elapsedMs: number): string {
  if (!Number.isFinite(elapsedMs)) return "unknown";
  if (elapsedMs < 1000) return `${Math.round(elapsedMs)} ms`;
  const seconds = Math.round(elapsedMs / 1000);
  if (seconds < 60) return `${(elapsedMs / 1000).toFixed(1)} s`;
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  return `${Math.round(minutes / 1440)} days`;
}
