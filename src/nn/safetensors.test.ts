// Checks the safetensors reader and writer against the format's definition and against files the
// reference implementation wrote (../shared). Values are compared exactly.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DType, scope, Tensor } from "../torch/index.js";
import { readSafetensors, readSafetensorsHeader, writeSafetensors } from "./safetensors.js";

const folder = mkdtempSync(join(tmpdir(), "safetensors-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "a.safetensors");

/** A file of this header (any value) and this many bytes of data. */
function fileOf(header: unknown, dataLength: number): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataLength)]);
}

const u8 = (shape: unknown, begin: unknown, end: unknown) => ({
  dtype: "U8",
  shape,
  data_offsets: [begin, end],
});

describe("a round trip", () => {
  test("keeps every dtype, shape, value and the metadata", () => {
    const values = [0, 1, 1, 0, 1, 1];
    const dtypes: DType[] = ["float64", "float32", "float16", "bfloat16", "int64"];
    dtypes.push("int32", "int16", "int8", "uint8", "bool");
    const tensors = Object.fromEntries(
      dtypes.map((dtype) => [`x.${dtype}`, Tensor.from(values, [2, 3], { dtype })]),
    );
    writeSafetensors(path, tensors, { "a key": "ünïcode" });
    const back = readSafetensors(path);
    for (const [name, tensor] of Object.entries(back)) {
      expect([name, tensor.dtype, tensor.shape]).toEqual([name, name.slice(2), [2, 3]]);
      expect([...tensor.toArray()].map(Number)).toEqual(values);
    }
    expect(Object.keys(back).sort()).toEqual(Object.keys(tensors).sort());
    expect(readSafetensorsHeader(path).metadata).toEqual({ "a key": "ünïcode" });
  });

  test("keeps scalars, empty tensors, views and awkward names", () => {
    const matrix = Tensor.from([1, 2, 3, 4, 5, 6], [2, 3]);
    const tensors = {
      scalar: Tensor.from(7, []),
      empty: Tensor.from([], [0, 4]),
      "transposed/ü": matrix.transpose(0, 1),
      ["__proto__"]: Tensor.from([9]),
    };
    writeSafetensors(path, tensors);
    const back = readSafetensors(path);
    expect(back.scalar!.shape).toEqual([]);
    expect(back.empty!.shape).toEqual([0, 4]);
    expect([...back["transposed/ü"]!.toArray()]).toEqual([1, 4, 2, 5, 3, 6]);
    expect(Object.keys(back)).toContain("__proto__");
  });

  test("writes the same aligned bytes whatever the order, and nothing beside the file", () => {
    const a = Tensor.from([1, 2, 3], [3], { dtype: "int8" });
    const b = Tensor.from([1.5], [1], { dtype: "float64" });
    writeSafetensors(path, { a, b });
    const first = readFileSync(path);
    writeSafetensors(path, { b, a });
    expect(readFileSync(path).equals(first)).toBe(true);
    expect(readSafetensorsHeader(path).entries.get("b")!.offset % 8).toBe(0);
    expect(readdirSync(folder)).toEqual(["a.safetensors"]);
  });

  test("loads only the names asked for, and says which is missing", () => {
    writeSafetensors(path, { a: Tensor.from([1]), b: Tensor.from([2]) });
    expect(Object.keys(readSafetensors(path, { names: ["b"] }))).toEqual(["b"]);
    expect(() => readSafetensors(path, { names: ["c"] })).toThrow(/Expected a tensor "c" in/);
  });

  test("keeps the old file where writing fails", () => {
    writeSafetensors(path, { a: Tensor.from([1]) });
    const freed = Tensor.from([1]);
    freed.dispose();
    expect(() => writeSafetensors(path, { freed })).toThrow();
    expect(Object.keys(readSafetensors(path))).toEqual(["a"]);
    expect(readdirSync(folder)).toEqual(["a.safetensors"]);
  });
});

describe("a damaged file is refused", () => {
  const entry = u8([4], 0, 4);
  const cases: Record<string, Buffer> = {
    "an empty file": Buffer.alloc(0),
    "a length alone": fileOf("", 0).subarray(0, 7),
    "a header longer than the file": fileOf({ a: entry }, 4).subarray(0, 20),
    "a header of terabytes": Buffer.from("ffffffffff0000007b7d", "hex"),
    "a header that is no JSON": fileOf("{nope", 0),
    "a header that is a list": fileOf("[]", 0),
    "an unknown dtype": fileOf({ a: { ...entry, dtype: "F4" } }, 4),
    "a shape that is not its bytes": fileOf({ a: u8([5], 0, 4) }, 4),
    "a negative size": fileOf({ a: u8([-4], 0, 4) }, 4),
    "a fraction": fileOf({ a: u8([4.5], 0, 4) }, 4),
    "offsets turned round": fileOf({ a: u8([4], 4, 0) }, 4),
    "three offsets": fileOf({ a: { ...entry, data_offsets: [0, 4, 4] } }, 4),
    "an overlap": fileOf({ a: entry, b: u8([4], 2, 6) }, 6),
    "a hole": fileOf({ a: entry, b: u8([4], 5, 9) }, 9),
    "bytes past the last tensor": fileOf({ a: entry }, 5),
    "data cut short": fileOf({ a: entry }, 3),
    "a size that overflows": fileOf({ a: u8([2 ** 52, 2 ** 52], 0, 4) }, 4),
    "an entry that is null": fileOf({ a: null }, 0),
    "metadata that is no string": fileOf({ __metadata__: { a: 1 } }, 0),
  };
  test.each(Object.entries(cases))("%s", (_, bytes) => {
    writeFileSync(path, bytes);
    expect(() => readSafetensors(path)).toThrow(/^Expected (a safetensors file|bytes)/);
  });

  test("any flipped byte of the header gives tensors or an error, never a crash", () => {
    writeSafetensors(path, { weight: Tensor.from([1, 2]), bias: Tensor.from([3]) });
    const whole = readFileSync(path);
    const mutation = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(mutation, ([at, value]) => {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        writeFileSync(path, bytes);
        try {
          scope(() => void readSafetensors(path));
        } catch (error) {
          expect((error as Error).message).toMatch(/^Expected/);
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});

const golden = fileURLToPath(new URL("../../../shared/reference/golden/image", import.meta.url));
describe.skipIf(!existsSync(golden))("files of the reference implementation (../shared)", () => {
  let tensors: Record<string, Tensor>;
  beforeAll(() => {
    tensors = readSafetensors(join(golden, "golden.safetensors"));
  });

  test("are read and written back with the same values", () => {
    writeSafetensors(path, tensors);
    const back = readSafetensors(path);
    for (const [name, tensor] of Object.entries(tensors)) {
      expect(Buffer.from(back[name]!.toBytes()).equals(tensor.toBytes()), name).toBe(true);
    }
    expect(Object.keys(tensors)).toContain("x");
  });
});
