// A folder of pictures or videos as a source: every one below it, in the byte order of its path. Where all lie
// in sub-folders, the first-level sub-folder is the class. Nothing is decoded until it is asked for.
import type { Dirent } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { MediaError } from "../media/error.js";
import { imageExtensions } from "../media/image.js";
import type { Window } from "../media/video-info.js";
import { ClipReader, isMoving, readableExtensions } from "./clip-file.js";
import type { Source } from "./source.js";

/**
 * A `Source` over the pictures below `directory`, or over windows of the videos below it where one of several frames is
 * given; MediaError where there are none.
 */
export async function openFolder(directory: string, window?: Window): Promise<Source> {
  const files = await listFolder(directory, readableExtensions(window));
  return filesSource(directory, files, window);
}

/** A `Source` over files, by their paths relative to `directory`. */
export function filesSource(
  directory: string,
  files: readonly string[],
  window: Window | undefined,
): Source {
  const reader = new ClipReader(window);
  const classOf = (file: string): string => file.slice(0, Math.max(0, file.indexOf("/")));
  const names = [...new Set(files.map(classOf))].sort(byBytes);
  const classes = names.includes("") ? [] : names; // "" is a picture beside the sub-folders
  const labels = new Map(classes.map((name, label) => [name, label]));
  return {
    name: basename(resolve(directory)),
    length: files.length,
    classes,
    ...(isMoving(window) ? { fps: window.fps } : {}),
    load: (index, request) =>
      reader.read(
        { path: join(directory, files[index]!), extension: extensionOf(files[index]!) },
        request,
      ),
    files: async (index) => [
      {
        bytes: await readBytes(join(directory, files[index]!)),
        extension: extensionOf(files[index]!),
      },
    ],
    id: (index) => files[index]!,
    label: (index) => labels.get(classOf(files[index]!)),
  };
}

/**
 * Paths of the files with one of `extensions` below `directory`, relative to it, with forward slashes,
 * each folder's names in byte order. Hidden names are skipped; links are followed, but never in a circle.
 */
export async function listFolder(
  directory: string,
  extensions: readonly string[] = imageExtensions,
): Promise<string[]> {
  const files: string[] = [];
  const others = new Map<string, number>();

  async function walk(path: string, prefix: string, parents: readonly string[]): Promise<void> {
    const here = await realpath(path);
    if (parents.includes(here)) return;
    const entries = await readdir(path, { withFileTypes: true });
    entries.sort((a, b) => byBytes(a.name, b.name));
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const child = join(path, entry.name);
      const kind = await kindOf(entry, child);
      const extension = extensionOf(entry.name);
      if (kind === "folder") await walk(child, `${prefix}${entry.name}/`, [...parents, here]);
      else if (kind !== "file") continue;
      else if (extensions.includes(extension)) files.push(prefix + entry.name);
      else others.set(extension, (others.get(extension) ?? 0) + 1);
    }
  }

  try {
    await walk(directory, "", []);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const isAbsent = code === "ENOENT";
    const reason = isAbsent ? "there is no such file or folder. Check the path." : message;
    throw new MediaError(directory, `cannot be listed: ${reason}`, { cause });
  }
  if (files.length > 0) return files;
  const wanted = `Expected files ending in ${extensions.join(", ")} in the folder or below`;
  throw new MediaError(directory, `${wanted}, received ${describe(others)}. Check the path.`);
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new MediaError(path, `cannot be read: ${(cause as Error).message}`, { cause });
  }
}

const extensionOf = (file: string): string => extname(file).slice(1).toLowerCase();

/** What an entry is once links are followed; a broken link is nothing. */
async function kindOf(entry: Dirent, path: string): Promise<"folder" | "file" | "nothing"> {
  const seen = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry;
  if (seen?.isDirectory()) return "folder";
  return seen?.isFile() ? "file" : "nothing";
}

/** "3 .bmp, 1 .txt" or "none". */
function describe(counts: ReadonlyMap<string, number>): string {
  const parts = [...counts].map(([extension, count]) => `${count} .${extension}`);
  return parts.length > 0 ? parts.slice(0, 8).join(", ") : "none";
}

/** The same order on every machine and in every locale. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
