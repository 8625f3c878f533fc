// A tensor: a handle to libtorch's, its metadata and its lifetime. Its operators are the table in methods.ts.
import { native } from "./binding.js";
import {
  allocate,
  type DType,
  dtypeCode,
  dtypeName,
  dtypeOf,
  dtypeWidth,
  type TypedArray,
} from "./dtype.js";
import { naming, TorchError } from "./error.js";
import type { Methods } from "./methods.js";
import { track, untrack } from "./scope.js";

export interface TensorOptions {
  /** Default float32, or the typed array's own. */
  dtype?: DType;
  /** "cpu" (the default), "cuda:0", "mps". */
  device?: string;
}

export type Shape = readonly number[];

/** methods.ts installs every one of them. */
export interface Tensor extends Methods {}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: methods.ts installs what the interface promises.
export class Tensor {
  /** @internal Index into the engine's table; 0 once freed. */
  handle: number;
  /** @internal Bytes told to the garbage collector; 0 while a scope owns the tensor. */
  watchedBytes = 0;
  /** @internal Set by keep(). */
  isKept = false;
  #meta: { dtype: DType; device: string; shape: Shape } | undefined;

  /** @internal */
  constructor(handle: number) {
    this.handle = handle;
    try {
      track(this);
    } catch (error) {
      native().release(handle); // of a dtype that nothing here can hold
      throw error;
    }
  }

  /**
   * Copies numbers into a new tensor. A missing shape means one dimension (none for a single number); the dtype follows
   * the array (plain numbers: float32) and is converted to `options.dtype`.
   * @throws {TorchError} if the shape does not hold that many elements.
   */
  static from(
    data: NodeJS.TypedArray | readonly number[] | number,
    shape?: Shape,
    options: TensorOptions = {},
  ): Tensor {
    if (typeof data === "number") return Tensor.from([data], shape ?? [], options);
    const array = ArrayBuffer.isView(data)
      ? data
      : options.dtype === "float64"
        ? Float64Array.from(data)
        : Float32Array.from(data);
    const dtype = dtypeOf(array);
    const result = Tensor.fromBytes(array, shape ?? [array.length], { ...options, dtype });
    return options.dtype && options.dtype !== dtype ? result.to({ dtype: options.dtype }) : result;
  }

  /** Copies raw little-endian elements of `options.dtype` into a new tensor. */
  static fromBytes(bytes: NodeJS.TypedArray, shape: Shape, options: TensorOptions = {}): Tensor {
    const { dtype = "float32", device = "cpu" } = options;
    return naming(
      "Tensor.from",
      [],
      () => new Tensor(native().fromBytes(bytes, shape, dtypeCode(dtype), device)),
    );
  }

  // --- What it is ---
  get #facts() {
    if (this.handle === 0)
      throw new TorchError(
        "Tensor",
        "Expected a live tensor, received one that was freed. Keep it with keep() or make it in an outer scope.",
      );
    if (!this.#meta) {
      const [dtype, device, ...shape] = native().meta(this.handle);
      this.#meta = { dtype: dtypeName(dtype), device, shape: Object.freeze(shape) };
    }
    return this.#meta;
  }
  get shape(): Shape {
    return this.#facts.shape;
  }
  get dtype(): DType {
    return this.#facts.dtype;
  }
  /** "cpu", "cuda:0". */
  get device(): string {
    return this.#facts.device;
  }
  get ndim(): number {
    return this.shape.length;
  }
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }
  get byteLength(): number {
    return this.numel * dtypeWidth(this.dtype);
  }
  /** Size of one dimension; negative counts from the end. */
  size(dim: number): number {
    const size = this.shape.at(dim);
    if (size === undefined)
      throw new TorchError("size", `Expected a dimension of ${this}, received ${dim}.`);
    return size;
  }
  toString(): string {
    return this.handle
      ? `${this.dtype} [${this.shape.join(", ")}]${this.device === "cpu" ? "" : ` on ${this.device}`}`
      : "freed tensor";
  }

  // --- Life ---
  get isDisposed(): boolean {
    return this.handle === 0;
  }
  /** Frees this handle now; memory that others share (views, autograd) lives on. Twice is harmless. */
  dispose(): void {
    if (this.handle === 0) return;
    untrack(this);
    native().release(this.handle);
    this.handle = 0;
  }

  // --- Out ---
  /** A copy of the elements, row-major: float32, float64 and integers as themselves, bool as uint8, bfloat16 and float16 as float32. */
  toArray(): TypedArray {
    if (["bfloat16", "float16", "float8"].includes(this.dtype)) {
      const wide = this.to({ dtype: "float32" });
      const array = wide.toArray();
      wide.dispose();
      return array;
    }
    return this.#copy(allocate(this.dtype, this.numel));
  }
  /** The elements as raw little-endian bytes of their dtype. */
  toBytes(): Uint8Array {
    return this.#copy(new Uint8Array(this.byteLength));
  }
  #copy<T extends NodeJS.TypedArray>(target: T): T {
    native().copyBytes(this.handle, target);
    return target;
  }
  /** The one element as a number. */
  item(): number {
    if (this.numel !== 1) throw new TorchError("item", `Expected one element, received ${this}.`);
    return native().item(this.handle);
  }

  // --- Autograd ---
  get requiresGrad(): boolean {
    return naming("requiresGrad", [this], () => native().requiresGrad(this.handle));
  }
  requiresGrad_(on = true): this {
    naming("requiresGrad_", [this], () => native().setRequiresGrad(this.handle, on));
    return this;
  }
  /** The accumulated gradient, or null. */
  get grad(): Tensor | null {
    const handle = naming("grad", [this], () => native().getGrad(this.handle));
    return handle ? new Tensor(handle) : null;
  }
  set grad(gradient: Tensor | null) {
    naming("grad", [this, gradient], () => native().setGrad(this.handle, gradient?.handle));
  }
  /** Adds d(this)/d(leaf) to the `grad` of every leaf. A tensor of one element, unless its gradient is given. */
  backward(gradient?: Tensor, options: { retainGraph?: boolean } = {}): void {
    naming("backward", [this], () =>
      native().backward([this.handle], gradient && [gradient.handle], options.retainGraph ?? false),
    );
  }
}
