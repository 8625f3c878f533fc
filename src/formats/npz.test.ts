// Checks the .npz reader and writer against numpy's files (test/fixtures/npz, made by scripts/make-metric-fixtures.py) and
// against each other. Values are compared exactly.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { zipSync } from "fflate";
import { afterAll, expect, test } from "vitest";
import { withBinaryFile } from "../nn/binary-file.js";
import { liveTensors, scope, Tensor } from "../torch/index.js";
import { npzNames, readNpz, writeNpz } from "./npz.js";
import { readZipDirectory, readZipEntry } from "./zip.js";

const fixture = (name: string) =>
  fileURLToPath(new URL(`../../test/fixtures/npz/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "npz-"));
afterAll(() => rmSync(folder, { recursive: true }));

const describeValue = (value: Tensor | string | undefined) =>
  value instanceof Tensor ? [value.dtype, value.shape, [...value.toArray()].map(Number)] : value;

test("numpy's arrays come back, rows first or columns first, of every dtype, and text", () => {
  scope(() => {
    const values = readNpz(fixture("arrays.npz"));
    const read = (name: string) => describeValue(values[name]);
    const grid = [0, 1, 2, 3, 4, 5];
    expect(read("rows")).toEqual(["float32", [2, 3], grid]);
    expect(read("columns")).toEqual(["float32", [2, 3], grid]);
    expect(read("half")).toEqual(["float16", [2, 3], grid]);
    expect(read("long")).toEqual(["int64", [3], [0, 1, 2]]);
    expect(read("scalar")).toEqual(["float64", [], [1.5]]);
    expect(read("empty")).toEqual(["float64", [0, 4], []]);
    expect(read("bytes")).toEqual(["uint8", [4], [0, 1, 2, 3]]);
    expect(read("text")).toBe("crop × 2");
  });
});

test("an array that is written has the bytes that numpy gives it", () => {
  const path = join(folder, "same.npz");
  scope(() => writeNpz(path, readNpz(fixture("statistics.npz"))));
  const arrays = (of: string) =>
    withBinaryFile(of, (file) =>
      [...readZipDirectory(file).values()].map((entry) => [entry.name, readZipEntry(file, entry)]),
    );
  expect(arrays(path)).toEqual(arrays(fixture("statistics.npz")));
});

test("what is written comes back, names alone without loading", () => {
  const path = join(folder, "own.npz");
  const before = liveTensors();
  scope(() => {
    const values = {
      wide: Tensor.from(Float64Array.of(1, 2, 3, 4, 5, 6), [3, 1, 2]),
      whole: Tensor.from(BigInt64Array.of(2n ** 40n), []),
      turned: Tensor.from([1, 2, 3, 4], [2, 2]).transpose(0, 1),
      text: "ViTok ✓ 𝄞",
      nothing: "",
    };
    writeNpz(path, values);
    expect(npzNames(path)).toEqual(Object.keys(values));
    const back = readNpz(path);
    for (const [name, value] of Object.entries(values))
      expect(describeValue(back[name])).toEqual(describeValue(value));
    expect(Object.keys(readNpz(path, ["text", "absent"]))).toEqual(["text"]);
  });
  expect(liveTensors()).toBe(before);
});

test("pickles, big-endian numbers and lists of text are refused by name, the rest of the file is not", () => {
  const path = fixture("unread.npz");
  expect(npzNames(path)).toEqual(["pickled", "big", "words"]);
  expect(() => readNpz(path, ["pickled"])).toThrow(/pickled in .*received \|O/);
  expect(() => readNpz(path, ["big"])).toThrow(/big in .*received >f8/);
  expect(() => readNpz(path, ["words"])).toThrow(/words in .*received <U1 \[2\]/);
});

test("damaged files are errors that name the file, never a crash", () => {
  const bytes = readFileSync(fixture("arrays.npz"));
  const path = join(folder, "damaged.npz");
  const read = () => scope(() => void readNpz(path));
  for (const length of [0, 10, 200, bytes.length - 1]) {
    writeFileSync(path, bytes.subarray(0, length));
    expect(read).toThrow(path);
  }
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
      const changed = Uint8Array.from(bytes);
      changed[at] = value;
      writeFileSync(path, changed);
      try {
        read();
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 300 },
  );
});

test("a shape that the bytes do not fill is refused", () => {
  const path = join(folder, "short.npz");
  scope(() => writeNpz(path, { x: Tensor.from([1, 2, 3]) }));
  const [array] = withBinaryFile(path, (file) =>
    [...readZipDirectory(file).values()].map((entry) => readZipEntry(file, entry)),
  );
  const text = Buffer.from(array!).toString("latin1").replace("(3,)", "(9,)");
  writeFileSync(path, zipSync({ "x.npy": Buffer.from(text, "latin1") }));
  expect(() => readNpz(path)).toThrow(/Expected 36 bytes for x in .*, received 12/);
});
