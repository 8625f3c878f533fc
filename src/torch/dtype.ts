// Element types: names, libtorch's codes, widths, and the typed array each comes back as.

export type DType =
  | "float32"
  | "float64"
  | "bfloat16"
  | "float16"
  | "float8"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array;

/** c10::ScalarType; float8 is e4m3fn: 4 bits of exponent, 3 of fraction, no infinities. */
const codes: Record<DType, number> = {
  uint8: 0,
  int8: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float16: 5,
  float32: 6,
  float64: 7,
  bool: 11,
  bfloat16: 15,
  float8: 24,
};

const names = new Map(Object.entries(codes).map(([name, code]) => [code, name as DType]));

const widths: Record<DType, number> = {
  uint8: 1,
  int8: 1,
  bool: 1,
  float8: 1,
  int16: 2,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  float32: 4,
  int64: 8,
  float64: 8,
};

/** libtorch's code of a dtype; throws a TypeError naming the known ones. */
export function dtypeCode(dtype: DType): number {
  const code = codes[dtype];
  if (code === undefined)
    throw new TypeError(
      `Expected a dtype of ${Object.keys(codes).join(", ")}, received ${String(dtype)}.`,
    );
  return code;
}

export function dtypeName(code: number): DType {
  const name = names.get(code);
  if (name === undefined)
    throw new TypeError(`Expected a known dtype, received libtorch's ${code}.`);
  return name;
}

/** Bytes an element. */
export function dtypeWidth(dtype: DType): number {
  return widths[dtype];
}

/** The typed array that holds a dtype's elements as they are; none for the floats of 16 and 8 bits. */
export function allocate(dtype: DType, length: number): TypedArray {
  switch (dtype) {
    case "float32":
      return new Float32Array(length);
    case "float64":
      return new Float64Array(length);
    case "int64":
      return new BigInt64Array(length);
    case "int32":
      return new Int32Array(length);
    case "int16":
      return new Int16Array(length);
    case "int8":
      return new Int8Array(length);
    case "uint8":
    case "bool":
      return new Uint8Array(length);
    default:
      throw new TypeError(`Expected a dtype with a typed array of its own, received ${dtype}.`);
  }
}

/** The dtype a typed array holds. */
export function dtypeOf(array: NodeJS.TypedArray): DType {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Float64Array) return "float64";
  if (array instanceof BigInt64Array) return "int64";
  if (array instanceof Int32Array) return "int32";
  if (array instanceof Int16Array) return "int16";
  if (array instanceof Int8Array) return "int8";
  if (array instanceof Uint8Array || array instanceof Uint8ClampedArray) return "uint8";
  throw new TypeError(
    `Expected a typed array with a matching dtype, received ${array.constructor.name}.`,
  );
}
