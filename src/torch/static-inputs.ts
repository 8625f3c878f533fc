// Tensors that keep their place, for work that is recorded once and run on ever new numbers. On a GPU they are written ahead:
// what is next is made and copied on a stream of its own while the run before still reads what it was given.
import { native } from "./binding.js";
import { call } from "./dispatch.js";
import { type DType, dtypeCode } from "./dtype.js";
import { Stream } from "./graph.js";
import { empty } from "./ops.js";
import { keep, scope } from "./scope.js";
import { type Shape, Tensor } from "./tensor.js";

/** Raw elements in JavaScript's memory. */
export interface RawInput {
  readonly bytes: NodeJS.TypedArray;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** A tensor, on the device or not, or raw elements. */
export type Input = Tensor | RawInput;
export type Inputs = Readonly<Record<string, Input>>;
/** Inputs on the device. */
export type Placed<I> = { readonly [K in keyof I]: Tensor };

/** One of two sets of buffers: while one run reads the copies from the first, the next run's are made in the second. */
interface Slot {
  readonly stream: Stream;
  /** In host memory that the device copies from by itself. */
  readonly pinned: Readonly<Record<string, Tensor>>;
  readonly staged: Readonly<Record<string, Tensor>>;
}

export class StaticInputs<I extends Inputs> {
  /** What the work reads. */
  readonly tensors: Placed<I>;
  readonly #slots: readonly Slot[];
  #writes = 0;

  /** Places for inputs of the shapes and dtypes that `make` gives, which holds for every later one. */
  constructor(
    make: () => I,
    private readonly device: string,
  ) {
    const like = scope(() => layoutsOf(make()));
    const places = (options: { device?: string; isPinned?: boolean }) =>
      keep(mapRecord(like, (layout) => place(layout, options)));
    this.tensors = places({ device }) as Placed<I>;
    const isHost = device === "cpu";
    this.#slots = isHost
      ? []
      : [0, 1].map(() => ({
          stream: new Stream(device),
          pinned: places({ isPinned: true }),
          staged: places({ device }),
        }));
  }

  /**
   * Makes the next inputs and writes them, in the order of what is queued on the default stream. The run before the last
   * one has to be over: its buffers are used again.
   * @throws a RangeError for other names, shapes or dtypes
   */
  write(make: () => I): void {
    const slot = this.#slots[this.#writes++ % 2];
    if (!slot) {
      scope(() => this.#copy(this.tensors, this.#fitting(make())));
      return;
    }
    slot.stream.run(() => scope(() => this.#stage(slot, this.#fitting(make()))));
    slot.stream.holdDefault();
    this.#copy(this.tensors, slot.staged);
  }

  #stage({ pinned, staged }: Slot, inputs: Inputs): void {
    const onHost = Object.entries(inputs).filter(([, input]) => !isOn(input, this.device));
    this.#copy(pinned, Object.fromEntries(onHost));
    this.#copy(staged, { ...inputs, ...Object.fromEntries(onHost.map(([k]) => [k, pinned[k]!])) });
  }

  #copy(targets: Readonly<Record<string, Tensor>>, inputs: Inputs): void {
    for (const [name, input] of Object.entries(inputs)) {
      const target = targets[name]!;
      if (input instanceof Tensor)
        call("copy_", target, input, true); // nobody waits for it
      else native().writeBytes(target.handle, input.bytes);
    }
  }

  #fitting(inputs: Inputs): Inputs {
    const [own, given] = [layoutsOf(this.tensors), layoutsOf(inputs)].map((layouts) =>
      JSON.stringify(Object.entries(layouts).sort(([a], [b]) => (a < b ? -1 : 1))),
    );
    if (own !== given)
      throw new RangeError(`Expected inputs as the first ones, ${own}, received ${given}.`);
    return inputs;
  }

  dispose(): void {
    const all = [this.tensors, ...this.#slots.flatMap(({ pinned, staged }) => [pinned, staged])];
    for (const tensors of all) for (const tensor of Object.values(tensors)) tensor.dispose();
  }
}

/** New tensors on a device, for work that runs once. */
export function upload<I extends Inputs>(inputs: I, device: string): Placed<I> {
  return mapRecord<Input, Tensor>(inputs, (input) =>
    input instanceof Tensor
      ? input.to({ device })
      : Tensor.fromBytes(input.bytes, input.shape, { dtype: input.dtype, device }),
  ) as Placed<I>;
}

interface Layout {
  readonly shape: Shape;
  readonly dtype: DType;
}

const isOn = (input: Input, device: string) => input instanceof Tensor && input.device === device;

const layoutsOf = (inputs: Inputs): Record<string, Layout> =>
  mapRecord(inputs, ({ shape, dtype }) => ({ shape, dtype }));

function mapRecord<T, R>(record: Readonly<Record<string, T>>, fn: (value: T) => R) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, fn(value)]));
}

function place(
  { shape, dtype }: Layout,
  { device = "cpu", isPinned }: { device?: string; isPinned?: boolean },
): Tensor {
  if (!isPinned) return empty(shape, { dtype, device });
  return call("empty.memory_format", shape, dtypeCode(dtype), undefined, "cpu", true);
}
