// Checks the .pth reader against files PyTorch wrote (test/fixtures/pth, made by
// scripts/make-pth-fixtures.py) and the LPIPS heads in ../shared. Values are compared exactly.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { scope, type Tensor } from "../torch/index.js";
import { readPth } from "./pth.js";

const fixture = (name: string) =>
  fileURLToPath(new URL(`../../test/fixtures/pth/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pth-"));
afterAll(() => rmSync(folder, { recursive: true }));

const numbers = (tensor: Tensor | undefined) => [...tensor!.toArray()].map(Number);
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.each(["zip.pth", "legacy.pth", "protocol4.pth"])("%s", (name) => {
  const tensors = readPth(fixture(name));
  const state = (key: string) => tensors[`state_dict.${key}`];

  test("gives dense tensors as they are", () => {
    expect(state("weight")!.shape).toEqual([4, 6]);
    expect(numbers(state("weight"))).toEqual(range(24));
    expect(numbers(state("parameter"))).toEqual([1.5, -2.5]);
    expect(state("scalar")!.shape).toEqual([]);
    expect(numbers(state("scalar"))).toEqual([3]);
    expect(state("empty")!.shape).toEqual([0, 5]);
  });

  test("honours strides and offsets of views", () => {
    const transposed = range(24).map((i) => (i % 4) * 6 + Math.floor(i / 4));
    expect(state("transposed")!.shape).toEqual([6, 4]);
    expect(numbers(state("transposed"))).toEqual(transposed);
    expect(numbers(state("window"))).toEqual([8, 9, 10, 14, 15, 16]);
    expect(numbers(state("every_other"))).toEqual(range(12).map((i) => 2 * i + 1));
    expect(numbers(state("expanded"))).toEqual([7, 7, 7, 7, 7, 7]);
  });

  test("keeps every dtype", () => {
    for (const dtype of ["float64", "int32", "int16", "int8", "uint8"] as const) {
      expect(state(dtype)!.dtype).toBe(dtype);
      expect(numbers(state(dtype))).toEqual([0, 1, 2]);
    }
    expect([state("half")!.dtype, ...numbers(state("half"))]).toEqual(["float16", 0.5, -1.25]);
    expect([state("bf16")!.dtype, ...numbers(state("bf16"))]).toEqual(["bfloat16", 1, -3]);
    expect([state("bools")!.dtype, ...numbers(state("bools"))]).toEqual(["bool", 1, 0]);
    expect([...state("int64")!.toArray()]).toEqual([2n ** 40n, -1n]);
  });

  test("names nested tensors by their path and leaves out the rest", () => {
    expect(numbers(tensors["optimizer.state.0.exp_avg"])).toEqual([1, 1]);
    expect(numbers(tensors["layers.0"])).toEqual([0]);
    expect(numbers(tensors["layers.1.0"])).toEqual([1]);
    expect(Object.keys(tensors)).not.toContain("step");
    expect(Object.keys(tensors)[0]).toBe("state_dict.weight");
  });
});

describe("what is not tensors in containers is refused by name", () => {
  test("a Python object", () => {
    expect(() => readPth(fixture("namespace.pth"))).toThrow(/Python object argparse\.Namespace/);
  });

  test("a pickled module, with the way out", () => {
    expect(() => readPth(fixture("module-legacy.pth"))).toThrow(/save.* state_dict\(\)/);
  });

  test("a call of the operating system", () => {
    const path = join(folder, "evil.pth");
    writeFileSync(path, Buffer.from("\x80\x02cos\nsystem\nU\x04echo\x85R.", "latin1"));
    expect(() => readPth(path)).toThrow(/Python object os\.system/);
  });

  test("a container within itself", () => {
    const path = join(folder, "cycle.pth");
    const legacyHead = readFileSync(fixture("legacy.pth")).subarray(0, 15 + 6);
    const cycle = Buffer.from("\x80\x02}.\x80\x02]q\x00h\x00a.\x80\x02].", "latin1");
    writeFileSync(path, Buffer.concat([legacyHead, cycle]));
    expect(() => readPth(path)).toThrow(/^Expected .*nested tensors/);
  });
});

describe.each(["zip.pth", "legacy.pth"])("a damaged %s", (name) => {
  const whole = readFileSync(fixture(name));
  const path = join(folder, name);

  test("is an error wherever it is cut", () => {
    for (let length = 0; length < whole.length; length += 97) {
      writeFileSync(path, whole.subarray(0, length));
      expect(() => readPth(path), `${length} bytes`).toThrow(/^Expected/);
    }
  });

  test("gives tensors or an error, never a crash, wherever a byte is flipped", () => {
    const mutation = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(mutation, ([at, value]) => {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        writeFileSync(path, bytes);
        try {
          scope(() => void readPth(path));
        } catch (error) {
          expect((error as Error).message).toMatch(/^Expected/);
        }
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});

test("a zip whose numbers were changed fails its checksum", () => {
  const bytes = readFileSync(fixture("zip.pth"));
  const at = bytes.indexOf(Buffer.from(Float32Array.from([20, 21, 22]).buffer));
  bytes[at]! ^= 1;
  const path = join(folder, "checksum.pth");
  writeFileSync(path, bytes);
  expect(() => readPth(path)).toThrow(/checksum/);
});

const heads = fileURLToPath(new URL("../../../shared/weights/lpips", import.meta.url));
describe.skipIf(!existsSync(heads))(
  "the LPIPS heads (../shared), legacy files saved on a GPU",
  () => {
    test.each([
      ["vgg", [64, 128, 256, 512, 512]],
      ["alex", [64, 192, 384, 256, 256]],
      ["squeeze", [64, 128, 256, 384, 384, 512, 512]],
    ])("%s has a non-negative head for each tap", (trunk, channels) => {
      const tensors = readPth(join(heads, `${trunk}.pth`));
      const shapes = Object.fromEntries(Object.entries(tensors).map(([k, x]) => [k, x.shape]));
      const expected = channels.map((c, i) => [`lin${i}.model.1.weight`, [1, c, 1, 1]] as const);
      expect(shapes).toEqual(Object.fromEntries(expected));
      for (const head of Object.values(tensors)) {
        expect(Math.min(...numbers(head))).toBeGreaterThanOrEqual(0);
        expect(head.device).toBe("cpu");
      }
    });
  },
);
