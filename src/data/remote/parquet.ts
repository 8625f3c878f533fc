// Parquet files of pictures, as the hub keeps data sets: which column is the picture and which the class, and the rows as a
// tar shard, so that everything else reads one kind of file. The format itself is hyparquet's.
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { writeFully } from "../../atomic-file.js";
import { MediaError } from "../../media/error.js";
import type { ShardList } from "../shards/list.js";
import { tarEnd, tarEntry } from "../shards/tar.js";

/** What the end of a file tells without reading its rows. */
export interface ParquetFacts {
  readonly length: number;
  /** Class names by label, where the file has them. */
  readonly classes: readonly string[] | undefined;
}

interface Columns extends ParquetFacts {
  readonly picture: string;
  readonly label: string | undefined;
}

/** @throws MediaError naming `name` where it is no parquet file or has no column of pictures */
export async function parquetFacts(name: string, file: AsyncBuffer): Promise<ParquetFacts> {
  const { length, classes } = columnsOf(name, await metadataOf(name, file));
  return { length, classes };
}

/** A list of parquet files with what their ends tell: `factsOf` in its order. */
export async function withFacts(
  list: ShardList,
  factsOf: readonly (() => Promise<ParquetFacts>)[],
): Promise<ShardList> {
  const facts: ParquetFacts[] = [];
  const together = 8;
  for (let start = 0; start < factsOf.length; start += together)
    facts.push(...(await Promise.all(factsOf.slice(start, start + together).map((of) => of()))));
  return { ...list, lengths: facts.map(({ length }) => length), classes: facts[0]?.classes };
}

/** Writes the rows of a local file as a tar shard: each picture's bytes, its class beside it. A row without a picture is one too. */
export async function unpackParquet(name: string, path: string, fd: number): Promise<void> {
  const file = await asyncBufferFromFile(path);
  const metadata = await metadataOf(name, file);
  const { picture, label } = columnsOf(name, metadata);
  const columns = label === undefined ? [picture] : [picture, label];
  let rowStart = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    const read = { file, metadata, columns, rowStart, rowEnd, compressors, utf8: false };
    const rows = await parquetReadObjects(read).catch((cause: Error) => {
      throw new MediaError(name, `is damaged in rows ${rowStart} to ${rowEnd}: ${cause.message}`, {
        cause,
      });
    });
    rows.forEach((row, i) => {
      for (const bytes of entriesOf(rowStart + i, row[picture], label && row[label]))
        writeFully(fd, bytes);
    });
    rowStart = rowEnd;
  }
  writeFully(fd, tarEnd);
}

async function metadataOf(name: string, file: AsyncBuffer): Promise<FileMetaData> {
  try {
    return await parquetMetadataAsync(file);
  } catch (cause) {
    throw new MediaError(name, `is no parquet file: ${(cause as Error).message}`, { cause });
  }
}

function entriesOf(row: number, picture: unknown, label: unknown): Uint8Array[] {
  const key = String(row).padStart(6, "0");
  const bytes = bytesOf(picture);
  const text =
    label instanceof Uint8Array ? Buffer.from(label).toString("utf8") : String(label ?? "");
  return [
    ...(bytes ? tarEntry(`${key}.${extensionOf(bytes)}`, bytes) : []),
    ...tarEntry(`${key}.cls`, Buffer.from(text)),
  ];
}

/** The column itself, or its field `bytes`; undefined where the row only names a file. */
function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  const bytes = (value as { bytes?: unknown } | null | undefined)?.bytes;
  return bytes instanceof Uint8Array && bytes.length > 0 ? bytes : undefined;
}

/** By the first bytes; what they do not tell is found out when the picture is decoded. */
function extensionOf(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 12)).toString("latin1");
  if (head.startsWith("\x89PNG")) return "png";
  if (head.startsWith("GIF8")) return "gif";
  if (/^RIFF....WEBP/s.test(head)) return "webp";
  return /^(II\*\0|MM\0\*)/.test(head) ? "tif" : "jpg";
}

const pictureNames = /^(image|img|picture|photo|jpg|jpeg|png|webp)$/i;
const labelNames = /^(label|labels|cls|class|class_id|fine_label|category)$/i;

/** By the features that the hub's library writes into the file, else by the columns' kinds and names. */
function columnsOf(name: string, metadata: FileMetaData): Columns {
  const { schema, num_rows, key_value_metadata = [] } = metadata;
  const features = featuresOf(key_value_metadata.find(({ key }) => key === "huggingface")?.value);
  const top = topColumns(schema);
  const picture =
    top.find(({ name }) => features[name]?._type === "Image") ??
    top.find(({ children }) => children.includes("bytes")) ??
    top.find(({ name, isBytes }) => isBytes && pictureNames.test(name));
  if (!picture) {
    const names = top.map((column) => column.name).join(", ");
    throw new MediaError(name, `Expected a column of pictures, as "image", received ${names}.`);
  }
  const label =
    top.find(({ name }) => features[name]?._type === "ClassLabel") ??
    top.find(({ name }) => labelNames.test(name));
  return {
    length: Number(num_rows),
    classes: label && features[label.name]?.names,
    picture: picture.name,
    label: label?.name,
  };
}

interface Feature {
  readonly _type?: string;
  readonly names?: readonly string[];
}

function featuresOf(text: string | undefined): Readonly<Record<string, Feature>> {
  if (!text) return {};
  try {
    const { info } = JSON.parse(text) as { info?: { features?: Record<string, Feature> } };
    return info?.features ?? {};
  } catch {
    return {};
  }
}

/** The schema is a flat list, each element followed by its children. */
function topColumns(schema: FileMetaData["schema"]) {
  const columns: { name: string; children: string[]; isBytes: boolean }[] = [];
  const sizeOf = (at: number): number => {
    let next = at + 1;
    for (let child = 0; child < (schema[at]!.num_children ?? 0); child++) next += sizeOf(next);
    return next - at;
  };
  for (let at = 1; at < schema.length; at += sizeOf(at)) {
    const { name, num_children = 0, type } = schema[at]!;
    const children = schema.slice(at + 1, at + 1 + num_children).map((child) => child.name);
    columns.push({ name, children, isBytes: type === "BYTE_ARRAY" });
  }
  return columns;
}
