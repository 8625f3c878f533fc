// The WebDataset convention: neighbouring files of a shard with one name up to the first dot are one sample: a picture, a clip
// or a film (.json and its strips, media/film.ts), its label beside it (.cls, .json, or the folder). Listed without decoding
// anything; the format is tar.ts.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { MediaError } from "../../media/error.js";
import { type Film, parseFilm, stripsOf } from "../../media/film.js";
import { imageExtensions } from "../../media/image.js";
import { videoExtensions } from "../../media/video-info.js";
import { listTar, type TarMember } from "./tar.js";

/** A class's number, or its name. */
export type Label = number | string;

/** A file of a sample: `size` bytes from `offset` of its shard. */
export interface SampleFile {
  readonly extension: string;
  readonly offset: number;
  readonly size: number;
}

/** One sample of a shard; where `problem` says so, it cannot be loaded. */
export interface ShardSample {
  /** Its name in the shard, without extension. */
  readonly key: string;
  /** The picture or clip; of a film the strips in their order, then its description. */
  readonly files: readonly SampleFile[];
  readonly film?: Film;
  readonly label: Label | undefined;
  readonly problem?: string;
}

/** The samples of a local shard in their order. A damaged stretch is a sample too, one that cannot be loaded. */
export function listSamples(path: string): ShardSample[] {
  const fd = openFile(path);
  try {
    const { size } = fstatSync(fd);
    const { members, damages } = listTar(fd, size);
    if (members.length === 0) throw new MediaError(path, "is no tar archive, or an empty one.");
    const text = (member: TarMember) => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(member.size, size - member.offset)));
      readSync(fd, bytes, 0, bytes.length, member.offset);
      return bytes.toString("utf8");
    };
    const samples = groupsOf(members).map(({ key, files }) => sampleOf(key, files, { size, text }));
    const lost = damages.map((problem) => ({ key: problem, ...nothing, problem: `is ${problem}` }));
    return [...samples, ...lost];
  } finally {
    closeSync(fd);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new MediaError(path, `cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** The bytes of a sample's file; MediaError, naming `name`, where they are not there. */
export async function readSampleFile(
  path: string,
  { offset, size }: SampleFile,
  name: string,
): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await file.read(bytes, 0, size, offset);
    if (bytesRead === size) return bytes;
    throw new MediaError(name, `ends after ${bytesRead} of ${size} bytes.`);
  } finally {
    await file.close();
  }
}

const readable = [...imageExtensions, ...videoExtensions];
const nothing = { files: [], label: undefined };

interface Group {
  readonly key: string;
  /** By extension: all that follows the first dot of the file's name, in lower case. */
  readonly files: Map<string, TarMember>;
}

function groupsOf(members: readonly TarMember[]): Group[] {
  const groups: Group[] = [];
  for (const member of members) {
    const { name } = member;
    const start = name.lastIndexOf("/") + 1;
    const dot = name.indexOf(".", start);
    if (dot === start) continue; // hidden: what macOS's tar adds
    const key = (dot < 0 ? name : name.slice(0, dot)).replace(/^\.\//, "");
    const extension = dot < 0 ? "" : name.slice(dot + 1).toLowerCase();
    const last = groups.at(-1);
    if (last?.key === key && !last.files.has(extension)) last.files.set(extension, member);
    else groups.push({ key, files: new Map([[extension, member]]) });
  }
  return groups;
}

function sampleOf(
  key: string,
  files: ReadonlyMap<string, TarMember>,
  archive: { size: number; text: (member: TarMember) => string },
): ShardSample {
  const names = [...files.keys()];
  const label = labelOf(key, files, archive.text);
  const strips = names.filter((name) => stripName.test(name)).length;
  if (strips) return { key, label, ...filmOf(files, strips, archive) };
  const isReadable = (name: string) => readable.includes(name.slice(name.lastIndexOf(".") + 1));
  const extension = names.find((name) => readable.includes(name)) ?? names.find(isReadable);
  if (extension === undefined) {
    const problem = `has no picture or video, only ${names.map((name) => `.${name}`).join(", ")}.`;
    return { key, ...nothing, label, problem };
  }
  return { key, label, ...filesOf(files, [extension], archive.size) };
}

/** Those files; a problem where the archive ends within one. */
function filesOf(
  files: ReadonlyMap<string, TarMember>,
  extensions: readonly string[],
  archiveSize: number,
): Pick<ShardSample, "files" | "problem"> {
  const members = extensions.map((extension) => ({ ...files.get(extension)!, extension }));
  const cut = members.find(({ offset, size }) => archiveSize - offset < size);
  const problem = cut && `ends after ${archiveSize - cut.offset} of ${cut.size} bytes.`;
  return { files: members, ...(problem ? { problem } : {}) };
}

/** What the strips of a film are called after its key. */
export const stripExtension = (strip: number): string =>
  `strip-${String(strip).padStart(4, "0")}.jpg`;
const stripName = /^strip-\d{4,}\.jpg$/;

function filmOf(
  files: ReadonlyMap<string, TarMember>,
  held: number,
  { size, text }: { size: number; text: (member: TarMember) => string },
): Pick<ShardSample, "files" | "film" | "problem"> {
  const json = files.get("json");
  const film = json && parseFilm(text(json));
  if (!film) return { files: [], problem: "has film strips, but no .json that describes them." };
  const count = stripsOf(film);
  const length = Math.min(count, held + 1); // what a description claims may be anything
  const strips = Array.from({ length }, (_, strip) => stripExtension(strip));
  const missing = strips.find((name) => !files.has(name));
  if (missing)
    return { files: [], problem: `has ${held} of ${count} strips: .${missing} is missing.` };
  return { film, ...filesOf(files, [...strips, "json"], size) };
}

const labelKeys = ["label", "cls", "class", "class_id", "class_name"] as const;

/** From `.cls`, else from one of `labelKeys` in `.json`, else the first folder of the name. */
function labelOf(
  key: string,
  files: ReadonlyMap<string, TarMember>,
  text: (member: TarMember) => string,
): Label | undefined {
  const [cls, json] = [files.get("cls"), files.get("json")];
  if (cls) return parseLabel(text(cls).trim());
  const fields = json ? parseObject(text(json)) : {};
  const found = labelKeys.map((name) => fields[name]).find((value) => value !== undefined);
  if (typeof found === "number" || typeof found === "string") return parseLabel(String(found));
  const slash = key.indexOf("/");
  return slash > 0 ? key.slice(0, slash) : undefined;
}

function parseLabel(text: string): Label | undefined {
  if (text === "") return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // a label that cannot be read is none; the picture still counts
  }
}
