// The files a command was given: folders opened, a name for what each becomes, and failures that do not stop the rest.

import { stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { listFolder } from "../data/folder.js";
import { MediaError } from "../media/error.js";
import { imageExtensions } from "../media/image.js";
import { videoExtensions } from "../media/video-info.js";
import { TorchError } from "../torch/index.js";
import type { Output } from "./output.js";
import { openProgress } from "./progress.js";

export interface InputFile {
  readonly path: string;
  /** Relative path without extension, unique among the inputs: what the results are called. */
  readonly stem: string;
}

/** The files themselves, and every picture and video below the folders among them. */
export async function expandFiles(paths: readonly string[]): Promise<InputFile[]> {
  const lists = await Promise.all(paths.map(expand));
  const stems = uniqueStems(lists.flat().map(({ name }) => name));
  return lists.flat().map(({ path }, i) => ({ path, stem: stems[i]! }));
}

async function expand(path: string): Promise<{ path: string; name: string }[]> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory();
  if (!isFolder) return [{ path, name: basename(path) }];
  return (await listFolder(path, [...imageExtensions, ...videoExtensions])).map((name) => ({
    path: join(path, name),
    name,
  }));
}

/** File names without extension; from the second of a kind on with a number: `cat`, `cat-2`. */
export function uniqueStems(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const stem = name.slice(0, name.length - extname(name).length);
    let unique = stem;
    for (let copy = 2; taken.has(unique); copy++) unique = `${stem}-${copy}`;
    taken.add(unique);
    return unique;
  });
}

export interface Failure {
  readonly file: string;
  readonly reason: string;
}

/** Works on each file in turn. One that cannot be read, or is too large for the memory, is named on stderr and passed over. */
export async function forEachFile<T>(
  label: string,
  files: readonly InputFile[],
  { output, work }: { output: Output; work: (file: InputFile) => Promise<T> },
): Promise<{ done: T[]; failed: Failure[] }> {
  const done: T[] = [];
  const failed: Failure[] = [];
  const progress = openProgress(label, { total: files.length });
  for (const [i, file] of files.entries()) {
    try {
      done.push(await work(file));
    } catch (error) {
      if (!(error instanceof MediaError || error instanceof TorchError)) throw error;
      failed.push({ file: file.path, reason: error.message });
    }
    progress.update(i + 1);
  }
  progress.stop();
  for (const { reason } of failed) output.log(reason);
  return { done, failed };
}
