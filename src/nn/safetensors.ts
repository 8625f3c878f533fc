// Safetensors, read and written: an 8-byte length, a JSON header, then the tensors' raw bytes.
// Reading trusts nothing: every size, offset, shape and dtype is checked before a byte is loaded.
import { replaceFile, writeFully } from "../atomic-file.js";
import { type DType, Tensor } from "../torch/index.js";
import { type BinaryFile, withBinaryFile } from "./binary-file.js";

const headerLimit = 100_000_000; // bytes; the format's own limit
const dtypes: ReadonlyMap<string, { dtype: DType; itemSize: number }> = new Map([
  ["F64", { dtype: "float64", itemSize: 8 }],
  ["I64", { dtype: "int64", itemSize: 8 }],
  ["F32", { dtype: "float32", itemSize: 4 }],
  ["I32", { dtype: "int32", itemSize: 4 }],
  ["F16", { dtype: "float16", itemSize: 2 }],
  ["BF16", { dtype: "bfloat16", itemSize: 2 }],
  ["I16", { dtype: "int16", itemSize: 2 }],
  ["I8", { dtype: "int8", itemSize: 1 }],
  ["U8", { dtype: "uint8", itemSize: 1 }],
  ["BOOL", { dtype: "bool", itemSize: 1 }],
]);
const codes = new Map(
  [...dtypes].map(([code, { dtype, itemSize }]) => [dtype, { code, itemSize }]),
);

export interface SafetensorsEntry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** first byte of the tensor, counted from the start of the file */
  readonly offset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  readonly metadata: Record<string, string>;
  /** in the order of the header */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
}

/** The names, shapes, dtypes and metadata of a file, without loading a tensor. */
export function readSafetensorsHeader(source: string | Uint8Array): SafetensorsHeader {
  return withBinaryFile(source, readHeader);
}

/**
 * Loads the tensors of a file (its path, or its bytes), one ranged read each.
 * `names` picks some (an unknown one is an error); `device` is where they go, "cpu" by default.
 */
export function readSafetensors(
  source: string | Uint8Array,
  { device = "cpu", names }: { device?: string; names?: readonly string[] } = {},
): Record<string, Tensor> {
  return withBinaryFile(source, (file) => {
    const { entries } = readHeader(file);
    const wanted = names ?? [...entries.keys()];
    return Object.fromEntries(
      wanted.map((name) => {
        const entry = entries.get(name);
        if (!entry) throw new Error(`Expected a tensor "${name}" in ${file.path}, received none.`);
        const bytes = file.read(entry.offset, entry.byteLength);
        return [name, Tensor.fromBytes(bytes, entry.shape, { dtype: entry.dtype, device })];
      }),
    );
  });
}

function readHeader(file: BinaryFile): SafetensorsHeader {
  const fail = (reason: string): never => {
    throw new Error(
      `Expected a safetensors file for ${file.path}, received ${reason}. Fetch it again.`,
    );
  };
  if (file.size < 8) fail(`${file.size} bytes`);
  const length = new DataView(file.read(0, 8).buffer).getBigUint64(0, true);
  if (length > headerLimit || Number(length) > file.size - 8) fail(`a header of ${length} bytes`);
  const start = 8 + Number(length);
  const header = parseObject(file.read(8, Number(length))) ?? fail("a header that is not JSON");

  const metadata = new Map<string, string>();
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, value] of Object.entries(header)) {
    if (name !== "__metadata__") {
      entries.set(name, parseEntry(value, start) ?? fail(`a bad entry for tensor "${name}"`));
      continue;
    }
    for (const [key, text] of Object.entries(value ?? {})) {
      metadata.set(key, typeof text === "string" ? text : fail(`metadata "${key}" not a string`));
    }
  }
  requireContiguous(entries, { start, end: file.size, fail });
  return { metadata: Object.fromEntries(metadata), entries };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);

/** An entry whose dtype is known and whose bytes are exactly its shape's, or undefined. */
function parseEntry(value: unknown, start: number): SafetensorsEntry | undefined {
  if (!isObject(value) || !isSizes(value.shape) || !isSizes(value.data_offsets)) return undefined;
  const known = dtypes.get(String(value.dtype));
  const [begin, end, ...rest] = value.data_offsets;
  if (!known || begin === undefined || end === undefined || rest.length > 0) return undefined;
  const byteLength = value.shape.reduce((product, size) => product * size, known.itemSize);
  if (end - begin !== byteLength) return undefined;
  return { dtype: known.dtype, shape: value.shape, offset: start + begin, byteLength };
}

/** Tensors must tile the rest of the file: no overlap, no hole, nothing past the end. */
function requireContiguous(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  { start, end, fail }: { start: number; end: number; fail: (reason: string) => never },
): void {
  let expected = start;
  const inFileOrder = [...entries].sort(
    ([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength,
  );
  for (const [name, { offset, byteLength }] of inFileOrder) {
    if (offset !== expected) fail(`a tensor "${name}" at byte ${offset}, not ${expected}`);
    expected += byteLength;
  }
  if (expected !== end) fail(`${end} bytes where its header describes ${expected}`);
}

/**
 * Writes tensors (any device) so that `path` holds either the old file or the whole new one: beside
 * it, fsync, rename, fsync of the folder. Widest dtypes first, then by name: always aligned, always
 * the same bytes.
 */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  replaceFile(path, (fd) => {
    for (const bytes of partsOf(tensors, metadata)) writeFully(fd, bytes);
  });
}

/** The same file in memory. */
export function safetensorsBytes(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat([...partsOf(tensors, metadata)]));
}

/** Header, then one tensor's bytes at a time. */
function* partsOf(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  const ordered = Object.entries(tensors)
    .map(([name, tensor]) => ({ name, tensor, ...layoutOf(name, tensor) }))
    .sort((a, b) => b.itemSize - a.itemSize || (a.name < b.name ? -1 : 1));
  yield headerBytes(ordered, metadata);
  for (const { tensor } of ordered) yield tensor.toBytes();
}

function layoutOf(name: string, tensor: Tensor): { code: string; itemSize: number } {
  const known = codes.get(tensor.dtype);
  if (known && name !== "__metadata__") return known;
  throw new Error(
    `Expected a name and dtype that safetensors has, received ${name}: ${tensor.dtype}.`,
  );
}

function headerBytes(
  ordered: readonly { name: string; tensor: Tensor; code: string; itemSize: number }[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  let offset = 0;
  const entries = ordered.map(({ name, tensor, code, itemSize }) => {
    const begin = offset;
    offset += tensor.numel * itemSize;
    return [name, { dtype: code, shape: tensor.shape, data_offsets: [begin, offset] }] as const;
  });
  const described = Object.keys(metadata).length > 0 ? [["__metadata__", metadata] as const] : [];
  const json = Buffer.from(JSON.stringify(Object.fromEntries([...described, ...entries])));
  const padded = Math.ceil(json.length / 8) * 8; // so that the first tensor is aligned
  const bytes = Buffer.alloc(8 + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded));
  json.copy(bytes, 8);
  return bytes;
}
