// A list of files as a source: the splits of UCF-101 (`class/video.avi 1`), of Kinetics (CSV with youtube_id, time_start,
// time_end, label), or plain relative paths, a line each. Paths are below `root`, by default the list's own folder.
import { readFile } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import { ConfigError } from "../config-error.js";
import { MediaError } from "../media/error.js";
import type { Window } from "../media/video-info.js";
import { readableExtensions } from "./clip-file.js";
import { filesSource, listFolder } from "./folder.js";
import type { Source } from "./source.js";

/** `splits/trainlist01.txt`, `train.csv?root=kinetics&missing=skip` */
export const isListFile = (spec: string): boolean => /\.(txt|csv)(\?|$)/i.test(spec);

/**
 * Opens a list. Options follow a `?`: `root` is the folder of the files; `missing=skip` leaves out what is not there (many
 * Kinetics videos are gone).
 * @throws ConfigError naming files that are listed and not there; MediaError where the list cannot be read
 */
export async function openListFile(spec: string, window: Window | undefined): Promise<Source> {
  const [path = "", query = ""] = spec.split("?", 2);
  const { root, missing } = optionsOf(query, path);
  const listed = parseList(await readList(path), path);
  const there = new Map<string, string>();
  for (const file of await listFolder(root, readableExtensions(window)))
    for (const key of keysOf(file)) there.set(key, file);
  const found = listed.map((name) => there.get(name) ?? there.get(stemOf(name)));
  const lost = listed.filter((_, i) => found[i] === undefined);
  if (lost.length === listed.length || (lost.length > 0 && missing !== "skip"))
    throw new ConfigError(
      `Expected the ${listed.length} files of ${path} below ${root}, received ${listed.length - lost.length}; missing are ` +
        `${lost.slice(0, 5).join(", ")}${lost.length > 5 ? ", ..." : ""}. Write ${path}?root=DIR, or &missing=skip to go on without them.`,
    );
  const files = found.filter((file) => file !== undefined);
  return { ...filesSource(root, files, window), name: basename(path, extname(path)) };
}

async function readList(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new MediaError(path, `cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function optionsOf(query: string, path: string): { root: string; missing: string } {
  const given = new URLSearchParams(query);
  for (const [key, value] of given)
    if (key !== "root" && !(key === "missing" && value === "skip"))
      throw new ConfigError(
        `Expected root=DIR or missing=skip after ${path}?, received "${key}=${value}".`,
      );
  return { root: given.get("root") ?? dirname(path), missing: given.get("missing") ?? "" };
}

/** What a list may call a file: its path, its path or its name without extension. */
function keysOf(file: string): string[] {
  const stem = stemOf(file);
  return [file, stem, basename(stem)];
}

const stemOf = (file: string): string => file.slice(0, file.length - extname(file).length);

/** The names of a list's files, as `keysOf` has them. @throws ConfigError for a list without any */
export function parseList(text: string, path: string): string[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  const names = path.toLowerCase().endsWith(".csv")
    ? kineticsNames(lines, path)
    : lines.map(pathOf);
  if (names.length) return names;
  throw new ConfigError(`Expected the names of files in ${path}, received an empty list.`);
}

/** `class/video.avi 1` or `class/video.avi`; a number after the path is UCF-101's label, which its folder says again. */
const pathOf = (line: string): string => line.trim().replace(/\s+\d+$/, "");

/** Names of Kinetics' files: `<youtube_id>_<start, six digits>_<end, six digits>`. */
function kineticsNames([head = "", ...rows]: readonly string[], path: string): string[] {
  const columns = head.split(",").map((name) => name.trim());
  const [id, start, end] = ["youtube_id", "time_start", "time_end"].map((name) => {
    const place = columns.indexOf(name);
    if (place >= 0) return place;
    throw new ConfigError(
      `Expected a column ${name} in ${path}, received ${columns.join(", ")}. Lists of paths end in .txt.`,
    );
  });
  return rows.map((row) => {
    const cells = fieldsOf(row);
    const six = (text = "") => String(Math.round(Number(text))).padStart(6, "0");
    return `${cells[id!]}_${six(cells[start!])}_${six(cells[end!])}`;
  });
}

/** The cells of a line of CSV; a label may hold a comma in quotes. */
function fieldsOf(row: string): string[] {
  const cells = row.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g);
  return [...cells].map(([, cell = ""]) => cell.replace(/^"|"$/g, "").replaceAll('""', '"'));
}
