// Tensors and typed arrays, both ways, for every dtype: exact. The 16-bit floats are checked against their definition.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DType, dtypeWidth, scope, Tensor, TorchError, zeros } from "./index.js";

/** Any values of a dtype, in the typed array that holds it. */
const arrays = {
  float32: fc.float32Array(),
  float64: fc.float64Array(),
  int64: fc.bigInt64Array(),
  int32: fc.int32Array(),
  int16: fc.int16Array(),
  int8: fc.int8Array(),
  uint8: fc.uint8Array(),
};

describe("typed arrays", () => {
  test.each(Object.entries(arrays))(
    "%s comes back exactly, NaN and infinities too",
    (dtype, any) => {
      fc.assert(
        fc.property(any as fc.Arbitrary<NodeJS.TypedArray>, (array) => {
          scope(() => {
            const tensor = Tensor.from(array);
            expect(tensor.dtype).toBe(dtype);
            expect(tensor.shape).toEqual([array.length]);
            expect(tensor.toArray()).toEqual(array);
            expect(tensor.byteLength).toBe(array.byteLength);
          });
        }),
      );
    },
  );

  test("bool is 0 and 1, whatever number made it", () => {
    const tensor = Tensor.from([0, 1, -3, 0.5], [4], { dtype: "bool" });
    expect(tensor.toArray()).toEqual(Uint8Array.from([0, 1, 1, 1]));
  });

  test("bfloat16 rounds to eight bits of mantissa, half to even", () => {
    fc.assert(
      fc.property(fc.float32Array(), (array) => {
        const rounded = scope(() =>
          Tensor.from(array, [array.length], { dtype: "bfloat16" }).toArray(),
        );
        expect(rounded).toEqual(array.map(roundToBfloat16));
      }),
    );
  });

  test("float16 holds every integer to 2048, its largest value, and infinity beyond", () => {
    const values = [...Array.from({ length: 2049 }, (_, i) => i), 65504, -65504, 1e6, 2 ** -24];
    const expected = values.map((value) => (value === 1e6 ? Number.POSITIVE_INFINITY : value));
    const tensor = Tensor.from(values, [values.length], { dtype: "float16" });
    expect(tensor.toArray()).toEqual(Float32Array.from(expected));
  });

  test("raw bytes of every dtype come back as they were", () => {
    const dtypes = [...Object.keys(arrays), "bfloat16", "float16", "bool"] as DType[];
    for (const dtype of dtypes) {
      const bytes = Uint8Array.from({ length: 6 * dtypeWidth(dtype) }, (_, i) =>
        dtype === "bool" ? i % 2 : (i * 37) % 256,
      );
      const tensor = Tensor.fromBytes(bytes, [2, 3], { dtype });
      expect(tensor.toBytes(), dtype).toEqual(bytes);
      expect(tensor.dtype).toBe(dtype);
    }
  });

  test("a tensor is a copy: later writes to the array do not reach it, nor the reverse", () => {
    const array = Float32Array.from([1, 2]);
    const tensor = Tensor.from(array);
    array[0] = 9;
    const out = tensor.toArray();
    out[1] = 9;
    expect(tensor.toArray()).toEqual(Float32Array.from([1, 2]));
  });

  test("a view into a larger buffer gives its own elements only", () => {
    const whole = Float32Array.from([0, 1, 2, 3, 4]);
    expect(Tensor.from(whole.subarray(1, 4)).toArray()).toEqual(Float32Array.from([1, 2, 3]));
    expect(Tensor.from(Buffer.from([7, 8])).toArray()).toEqual(Uint8Array.from([7, 8]));
  });

  test("plain numbers are float32, one number is a scalar, and a dtype converts", () => {
    expect(Tensor.from([1.5, 2]).dtype).toBe("float32");
    expect(Tensor.from(7)).toMatchObject({ shape: [], ndim: 0, numel: 1 });
    expect(Tensor.from([1.9, -1.9], [2], { dtype: "int32" }).toArray()).toEqual(
      Int32Array.from([1, -1]),
    );
    expect(Tensor.from([0.1], [1], { dtype: "float64" }).item()).toBe(0.1);
  });

  test("empty shapes hold nothing and come back empty", () => {
    expect(zeros([2, 0, 3]).toArray()).toEqual(new Float32Array(0));
    expect(Tensor.from([], [0]).numel).toBe(0);
  });
});

describe("views", () => {
  const matrix = () => Tensor.from([1, 2, 3, 4, 5, 6], [2, 3]);
  test.each<[string, (x: Tensor) => Tensor, number[]]>([
    ["transposed", (x) => x.transpose(0, 1), [1, 4, 2, 5, 3, 6]],
    ["a column", (x) => x.select(1, 1), [2, 5]],
    ["every other", (x) => x.slice(1, 0, 3, 2), [1, 3, 4, 6]],
    ["expanded", (x) => x.select(0, 0).expand([2, 3]), [1, 2, 3, 1, 2, 3]],
    ["a part that starts inside", (x) => x.narrow(0, 1, 1), [4, 5, 6]],
    ["flipped", (x) => x.flip([0, 1]), [6, 5, 4, 3, 2, 1]],
  ])("%s come out row-major, whatever their strides", (_, view, expected) => {
    expect(view(matrix()).toArray()).toEqual(Float32Array.from(expected));
    const bytes = view(matrix()).toBytes();
    expect(new Float32Array(bytes.buffer)).toEqual(Float32Array.from(expected));
  });

  test("share memory with what they view, and outlive it", () => {
    const x = matrix();
    const row = x.select(0, 0);
    x.fill_(7);
    x.dispose();
    expect(row.toArray()).toEqual(Float32Array.from([7, 7, 7]));
  });

  test("permuting and back is the identity, for any shape", () => {
    const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(shape, fc.infiniteStream(fc.nat()), (sizes, random) => {
        const numel = sizes.reduce((product, size) => product * size, 1);
        const values = Float32Array.from({ length: numel }, (_, i) => i);
        const order = sizes
          .map((_, axis) => ({ axis, rank: random.next().value as number }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ axis }) => axis);
        const inverse = order.map((_, axis) => order.indexOf(axis));
        scope(() => {
          const there = Tensor.from(values, sizes).permute(order);
          expect(there.shape).toEqual(order.map((axis) => sizes[axis]));
          const copied = Tensor.from(there.toArray(), there.shape);
          expect(copied.permute(inverse).toArray()).toEqual(values);
        });
      }),
    );
  });
});

describe("what a tensor says of itself", () => {
  test("its dtype, shape and device, as errors print them", () => {
    expect(String(zeros([2, 3]))).toBe("float32 [2, 3]");
    expect(zeros([2, 3], { dtype: "int64" })).toMatchObject({ dtype: "int64", device: "cpu" });
    expect(zeros([2, 3]).size(-1)).toBe(3);
  });

  test("item is the one element, and an error for more", () => {
    expect(Tensor.from([2.5], [1, 1]).item()).toBe(2.5);
    expect(Tensor.from(new BigInt64Array([-(2n ** 40n)])).item()).toBe(-(2 ** 40));
    expect(() => zeros([2]).item()).toThrow(/one element, received float32 \[2\]/);
  });

  test("its shape cannot be changed from outside", () => {
    expect(() => (zeros([2]).shape as number[]).push(1)).toThrow(TypeError);
  });
});

describe("what cannot be made is refused", () => {
  test.each<[string, () => unknown, RegExp]>([
    ["too few elements", () => Tensor.from([1], [2]), /Expected 8 bytes for the shape, received 4/],
    ["a negative size", () => Tensor.from([1], [-1]), /at least 0/],
    ["half a size", () => Tensor.from([1], [0.5]), /whole number/],
    ["a size of NaN", () => Tensor.from([1], [Number.NaN]), /whole number/],
    ["a shape past any memory", () => Tensor.from([1], [2 ** 52, 2 ** 52]), /too large/],
    ["an unknown device", () => Tensor.from([1], [1], { device: "abacus" }), /abacus/],
    ["a dimension that is not there", () => zeros([2]).size(3), /dimension of float32 \[2\]/],
  ])("%s", (_, make, message) => {
    expect(make).toThrow(TorchError);
    expect(make).toThrow(message);
  });

  test("a dtype nobody knows, naming those that are known", () => {
    const make = () => zeros([1], { dtype: "float4" as DType });
    expect(make).toThrow(/float32.*received float4/);
  });

  test("an array without a dtype of its own", () => {
    expect(() => Tensor.from(new BigUint64Array(1))).toThrow(/received BigUint64Array/);
  });
});

/** The upper half of a float32's bits, rounded half to even; NaN stays NaN. */
function roundToBfloat16(value: number): number {
  if (Number.isNaN(value)) return value;
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  const rounded = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(Uint32Array.of(rounded).buffer)[0]!;
}
