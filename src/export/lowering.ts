// One step of a program on its way into a graph: its arguments, as the functions of operators.ts ask for them.
import type { DType } from "../torch/index.js";
import type { Graph } from "./graph.js";
import { isFixed, type Size } from "./sizes.js";
import type { Step, Value } from "./trace.js";

/** Whether two dtypes are one in the file, where float64 is float32. */
export const isAlike = (a: DType, b: DType): boolean => a === b || (isWide(a) && isWide(b));
const isWide = (dtype: DType) => dtype === "float32" || dtype === "float64";

export class Lowering {
  constructor(
    readonly graph: Graph,
    readonly step: Step,
    private readonly nameOf: (value: Value) => string,
  ) {}

  /** The first result. */
  get out(): Value {
    return this.step.results[0]!;
  }
  /** Argument i, a tensor. */
  value(i: number): Value {
    return this.step.args[i] as Value;
  }
  /** The graph's name of tensor argument i. */
  name(i: number): string {
    return this.nameOf(this.value(i));
  }
  /** Tensor argument i in the dtype of the result, or another: libtorch promotes, ONNX does not. */
  as(i: number, dtype: DType = this.out.dtype): string {
    return isAlike(this.value(i).dtype, dtype)
      ? this.name(i)
      : this.graph.cast(this.name(i), dtype);
  }
  /** Argument i, a list of tensors, in the dtype of the result. */
  list(i: number): string[] {
    return (this.step.args[i] as Value[]).map((value) =>
      isAlike(value.dtype, this.out.dtype)
        ? this.nameOf(value)
        : this.graph.cast(this.nameOf(value), this.out.dtype),
    );
  }
  /** Argument i, a number that may follow from the input's size. */
  size(i: number): Size {
    return this.step.args[i] as Size;
  }
  /** Argument i, a list of plain numbers. */
  numbers(i: number): number[] {
    return (this.step.args[i] as Size[]).map((size) => this.#plain(size));
  }
  /** Argument i, a plain number. */
  number(i: number): number {
    return this.#plain(this.size(i));
  }
  #plain(size: Size): number {
    if (isFixed(size)) return size.offset;
    throw new Error(`Expected a plain number for ${this.step.operator}, received ${size.symbols}.`);
  }
  /** Argument i, a dimension, counted from the front of a tensor with `rank` dimensions. */
  axis(i: number, rank: number = this.value(0).dims.length): number {
    const axis = this.number(i);
    return axis < 0 ? axis + rank : axis;
  }
  isGiven(i: number): boolean {
    return (this.step.args[i] ?? null) !== null;
  }
  /** Says no to options that the operator's function would ignore. */
  only(count: number): void {
    if (this.step.args.slice(count).every((argument) => argument === null)) return;
    throw new Error(
      `Expected ${count} arguments for ${this.step.operator}, received more. Extend src/export/operators.ts.`,
    );
  }
}
