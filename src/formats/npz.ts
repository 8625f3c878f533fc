// NumPy's archives (.npz: a zip of .npy arrays), read and written: real numbers, whole numbers, bytes, and text.
// Nothing pickled is read. Reading trusts nothing: header, dtype, shape and size are checked before a tensor is made.
import { zipSync } from "fflate";
import { writeFileAtomic } from "../atomic-file.js";
import { type BinaryFile, withBinaryFile } from "../nn/binary-file.js";
import { type DType, scope, Tensor } from "../torch/index.js";
import { isZip, readZipDirectory, readZipEntry, type ZipEntry } from "./zip.js";

/** An array, contiguous and on the CPU; or, of text, a string. */
export type NpzValue = Tensor | string;

/** NumPy's codes; ours are all little-endian, as every machine that libtorch runs on is. */
const dtypes: ReadonlyMap<string, { dtype: DType; itemSize: number }> = new Map([
  ["<f8", { dtype: "float64", itemSize: 8 }],
  ["<f4", { dtype: "float32", itemSize: 4 }],
  ["<f2", { dtype: "float16", itemSize: 2 }],
  ["<i8", { dtype: "int64", itemSize: 8 }],
  ["<i4", { dtype: "int32", itemSize: 4 }],
  ["|u1", { dtype: "uint8", itemSize: 1 }],
]);
const codes = new Map([...dtypes].map(([code, { dtype }]) => [dtype, code]));

/** Names of the arrays in an archive, without loading one. */
export function npzNames(path: string): string[] {
  return withBinaryFile(path, (file) => [...arraysOf(file).keys()]);
}

/**
 * Loads arrays of an archive: the named ones that it has, or all.
 * @throws an Error where it is no archive, is damaged, or an array is of another kind.
 */
export function readNpz(path: string, names?: readonly string[]): Record<string, NpzValue> {
  return withBinaryFile(path, (file) => {
    const found = [...arraysOf(file)].filter(([name]) => names?.includes(name) ?? true);
    return scope(() =>
      Object.fromEntries(
        found.map(([name, entry]) => [
          name,
          parseNpy(readZipEntry(file, entry), `${name} in ${path}`),
        ]),
      ),
    );
  });
}

/** Writes an archive atomically, uncompressed as numpy.savez does; the same values give the same bytes. */
export function writeNpz(path: string, values: Readonly<Record<string, NpzValue>>): void {
  const files = Object.entries(values).map(([name, value]) => [`${name}.npy`, npyBytes(value)]);
  // The earliest time that a zip can hold, in whatever zone this machine is.
  const mtime = new Date(1980, 0, 1);
  writeFileAtomic(path, zipSync(Object.fromEntries(files), { level: 0, mtime }));
}

function arraysOf(file: BinaryFile): Map<string, ZipEntry> {
  if (!isZip(file))
    throw new Error(
      `Expected an .npz archive for ${file.path}, received another format. Write it with numpy.savez.`,
    );
  const arrays = [...readZipDirectory(file)].filter(([name]) => name.endsWith(".npy"));
  return new Map(arrays.map(([name, entry]) => [name.slice(0, -".npy".length), entry]));
}

const magic = "\x93NUMPY";

/** One .npy file. `title` names it in errors. */
function parseNpy(bytes: Uint8Array<ArrayBuffer>, title: string): NpzValue {
  const { code, isFortran, shape, start } = parseHeader(bytes, title);
  const data = bytes.slice(start); // a copy, and so aligned
  const text = /^<U(\d+)$/.exec(code);
  const known = text ? { itemSize: 4 * Number(text[1]) } : dtypes.get(code);
  const isText = text !== null && shape.length === 0;
  if (!known || (text && !isText))
    throw bad(title, `one of ${[...dtypes.keys()].join(", ")}`, `${code} [${shape}]`);
  const expected = shape.reduce((product, size) => product * size, known.itemSize);
  if (data.length !== expected) throw bad(title, `${expected} bytes`, `${data.length}`);
  if (!("dtype" in known)) return decodeText(data);
  const { dtype } = known;
  if (!isFortran) return Tensor.fromBytes(data, shape, { dtype });
  // Columns first: the transpose is what lies in the file.
  const reversed = Tensor.fromBytes(data, [...shape].reverse(), { dtype });
  return reversed.permute(shape.map((_, i) => shape.length - 1 - i)).contiguous();
}

interface Header {
  readonly code: string;
  readonly isFortran: boolean;
  readonly shape: readonly number[];
  /** byte at which the numbers begin */
  readonly start: number;
}

/** A Python dict literal of three fixed keys, whose length stands in 2 bytes (version 1) or 4 (versions 2 and 3). */
function parseHeader(bytes: Uint8Array<ArrayBuffer>, title: string): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const opening = new TextDecoder("latin1").decode(bytes.subarray(0, 6));
  const version = bytes[6];
  if (opening !== magic || bytes.length < 12 || !version || version > 3)
    throw bad(title, "an .npy array", "other bytes");
  const [length, from] =
    version === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const start = from + length;
  const text = new TextDecoder("latin1").decode(bytes.subarray(from, start));
  const code = /'descr': *'([^']+)'/.exec(text)?.[1];
  const order = /'fortran_order': *(True|False)/.exec(text)?.[1];
  const sizes = /'shape': *\(([\d, ]*)\)/.exec(text)?.[1];
  const shape = sizes?.match(/\d+/g)?.map(Number) ?? [];
  if (!code || !order || sizes === undefined || start > bytes.length)
    throw bad(title, "an .npy header", JSON.stringify(text.slice(0, 80)));
  return { code, isFortran: order === "True", shape, start };
}

const bad = (title: string, expected: string, received: string): Error =>
  new Error(
    `Expected ${expected} for ${title}, received ${received}. ` +
      "Save plain arrays with numpy.savez, or fetch the file again.",
  );

/** UTF-32, padded with zeros. */
function decodeText(data: Uint8Array<ArrayBuffer>): string {
  const points = [...new Uint32Array(data.buffer)].filter((point) => point !== 0);
  const isUnicode = (point: number) => point <= 0x10ffff;
  return points.map((point) => (isUnicode(point) ? String.fromCodePoint(point) : "?")).join("");
}

function npyBytes(value: NpzValue): Uint8Array {
  if (typeof value !== "string")
    return joinNpy({ code: codeOf(value), shape: value.shape, data: value.toBytes() });
  const points = Uint32Array.from([...value], (character) => character.codePointAt(0)!);
  return joinNpy({
    code: `<U${points.length}`,
    shape: [],
    data: new Uint8Array(points.buffer),
  });
}

function codeOf(tensor: Tensor): string {
  const code = codes.get(tensor.dtype);
  if (code) return code;
  throw new Error(
    `Expected a dtype that numpy has (${[...codes.keys()].join(", ")}) for an .npz, received ${tensor}. Convert it.`,
  );
}

function joinNpy(array: { code: string; shape: readonly number[]; data: Uint8Array }): Uint8Array {
  const { code, shape, data } = array;
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const dict = `{'descr': '${code}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const length = Math.ceil((10 + dict.length + 1) / 64) * 64; // so that the numbers are aligned
  const bytes = new Uint8Array(length + data.length);
  const header = `${magic}\x01\x00\x00\x00${dict.padEnd(length - 11)}\n`;
  bytes.set(Buffer.from(header, "latin1"));
  new DataView(bytes.buffer).setUint16(8, length - 10, true);
  bytes.set(data, length);
  return bytes;
}
