// An ONNX graph in the making: nodes, constants, and sizes that are computed from the shapes of the inputs.
import { type DType, scope, type Tensor } from "../torch/index.js";
import type { Part } from "./protobuf.js";
import { isFixed, type Size, sizeKey } from "./sizes.js";

export type Attribute = number | string | readonly number[] | { readonly float: number };

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface Initializer {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: Part;
}

/** An input or output of the model; a dimension is a number or a name. */
export interface Port {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string)[];
  readonly summary: string;
}

export class Graph {
  readonly inputs: Port[] = [];
  readonly outputs: Port[] = [];
  readonly initializers: Initializer[] = [];
  #nodes: Node[] = [];
  readonly #memo = new Map<string, string>();
  /** Names of int64 [1] tensors that hold the sizes' symbols. */
  readonly #symbols = new Map<string, string>();

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  input(port: Port): string {
    this.inputs.push(port);
    return port.name;
  }

  /** Names what the graph gives. */
  output(port: Port, value: string): void {
    this.outputs.push(port);
    this.#add("Identity", [value], {}, [port.name]);
  }

  /** Adds an operator with one output. */
  node(op: string, inputs: readonly string[], attributes: Node["attributes"] = {}): string {
    return this.split(op, inputs, attributes, 1)[0]!;
  }

  /** Adds an operator with several outputs. */
  split(
    op: string,
    inputs: readonly string[],
    attributes: Node["attributes"],
    count: number,
  ): string[] {
    const outputs = Array.from({ length: count }, (_, i) => `${op}_${this.#nodes.length}_${i}`);
    this.#add(op, inputs, attributes, outputs);
    return outputs;
  }

  #add(
    op: string,
    inputs: readonly string[],
    attributes: Node["attributes"],
    outputs: readonly string[],
  ): void {
    this.#nodes.push({ op, inputs, outputs, attributes });
  }

  /** A tensor that is stored in the file; its bytes are made when it is written. */
  stored(name: string, tensor: Tensor, { isTransposed = false } = {}): string {
    const key = isTransposed ? `${name}.transposed` : name;
    return this.#remember(`stored ${key}`, () => {
      const dims = isTransposed ? [...tensor.shape].reverse() : tensor.shape;
      const narrowed: DType = tensor.dtype === "float64" ? "float32" : tensor.dtype;
      const bytes = () =>
        scope(() =>
          (isTransposed ? tensor.transpose(0, 1).contiguous() : tensor)
            .to({ dtype: narrowed })
            .toBytes(),
        );
      const width = tensor.numel ? tensor.byteLength / tensor.numel : 1;
      const length = tensor.numel * (narrowed === tensor.dtype ? width : 4);
      this.initializers.push({ name: key, dtype: narrowed, dims, data: { length, bytes } });
      return key;
    });
  }

  /** Whole numbers, int64: a vector, or one number without dimensions. */
  ints(values: readonly number[] | number): string {
    const list = typeof values === "number" ? [values] : values;
    return this.#remember(`int64 ${JSON.stringify(values)}`, (name) => {
      const bytes = new Uint8Array(BigInt64Array.from(list, BigInt).buffer);
      this.#small(name, "int64", typeof values === "number" ? [] : [list.length], bytes);
      return name;
    });
  }

  /** One float32 without dimensions, in the given dtype. */
  scalar(value: number, dtype: DType): string {
    return this.#remember(`${dtype} ${value}`, (name) => {
      if (dtype === "int64" || dtype === "int32") return this.cast(this.ints(value), dtype);
      this.#small(name, "float32", [], new Uint8Array(Float32Array.of(value).buffer));
      return dtype === "float16" ? this.cast(name, dtype) : name;
    });
  }

  cast(value: string, dtype: DType): string {
    return this.node("Cast", [value], { to: onnxType(dtype) });
  }

  #small(name: string, dtype: DType, dims: readonly number[], bytes: Uint8Array): void {
    this.initializers.push({
      ...{ name, dtype, dims },
      data: { length: bytes.length, bytes: () => bytes },
    });
  }

  // --- Sizes ---
  /** Says which int64 [1] tensor holds a symbol. */
  bind(symbol: string, value: string): void {
    this.#symbols.set(symbol, value);
  }

  /** A size as an int64 [1] tensor. */
  size(size: Size): string {
    if (isFixed(size)) return this.ints([size.offset]);
    return this.#remember(`size ${sizeKey(size)}`, () => {
      const [first, ...others] = size.symbols.map((name) => this.#symbols.get(name)!);
      let value = others.reduce((product, next) => this.node("Mul", [product, next]), first!);
      if (size.factor !== 1) value = this.node("Mul", [value, this.ints([size.factor])]);
      return size.offset ? this.node("Add", [value, this.ints([size.offset])]) : value;
    });
  }

  /** Sizes as one int64 vector. */
  shape(sizes: readonly Size[]): string {
    if (sizes.every(isFixed)) return this.ints(sizes.map(({ offset }) => offset));
    return this.#remember(`shape ${sizes.map(sizeKey).join()}`, () =>
      this.node(
        "Concat",
        sizes.map((size) => this.size(size)),
        { axis: 0 },
      ),
    );
  }

  /** Elements from start up to end, int64 [1] each, along an axis. */
  slice(value: string, axis: number, start: string, end: string): string {
    return this.node("Slice", [value, start, end, this.ints([axis])]);
  }

  #remember(key: string, make: (name: string) => string): string {
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const made = make(`const_${this.#memo.size}`);
    this.#memo.set(key, made);
    return made;
  }

  /** Drops what no output needs. */
  prune(): void {
    const needed = new Set(this.outputs.map(({ name }) => name));
    const kept: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((name) => needed.has(name))) continue;
      for (const name of node.inputs) needed.add(name);
      kept.push(node);
    }
    this.#nodes = kept.reverse();
    const unused = this.initializers.filter(({ name }) => !needed.has(name));
    for (const initializer of unused)
      this.initializers.splice(this.initializers.indexOf(initializer), 1);
  }
}

const types: Partial<Record<DType, number>> = {
  ...{ float32: 1, float64: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 },
  bfloat16: 16,
};

/** ONNX's code of an element type; what is float64 here is computed in float32 there. */
export function onnxType(dtype: DType): number {
  const type = types[dtype];
  if (type === undefined)
    throw new Error(`Expected a dtype that the export knows, received ${dtype}.`);
  return type;
}
