// Listens while a model runs and keeps what it computed: operators, their arguments, where each tensor came from. The model
// is the one that trains and evaluates; nothing here knows an architecture.
import { type DType, listen, Tensor } from "../torch/index.js";
import { type Assignment, fitSize, type Size } from "./sizes.js";

/** A tensor in a recording. */
export class Reference {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #copy: Uint8Array | undefined;

  constructor(
    readonly id: number,
    readonly tensor: Tensor,
    isLeaf: boolean,
  ) {
    this.dtype = tensor.dtype;
    this.shape = tensor.shape;
    // What is made from numbers on the way may be freed before the run ends; parameters are not.
    if (isLeaf && !tensor.isKept) this.#copy = tensor.toBytes();
  }

  get isReadable(): boolean {
    return this.#copy !== undefined || !this.tensor.isDisposed;
  }
  /** What it holds. */
  read(): Tensor {
    return this.#copy ? Tensor.fromBytes(this.#copy, this.shape, this) : this.tensor;
  }
  holdsSameAs(other: Reference): boolean {
    return (
      this.tensor === other.tensor || Buffer.from(this.#bytes()).equals(Buffer.from(other.#bytes()))
    );
  }
  #bytes(): Uint8Array {
    return this.#copy ?? this.tensor.toBytes();
  }
}

export type Recorded = Reference | number | boolean | string | null | readonly Recorded[];

interface RecordedStep {
  readonly operator: string;
  readonly args: readonly Recorded[];
  readonly results: readonly Reference[];
}

export interface Recording {
  readonly steps: readonly RecordedStep[];
  readonly inputs: ReadonlyMap<string, Reference>;
  readonly outputs: ReadonlyMap<string, Reference>;
  /** Tensors that no step made: parameters, and those made from numbers on the way. */
  readonly leaves: readonly Reference[];
}

/** Runs a function on named tensors and keeps the operators that made its results. */
export function record(
  inputs: Readonly<Record<string, Tensor>>,
  run: () => Readonly<Record<string, Tensor>>,
): Recording {
  const known = new Map<Tensor, Reference>();
  const leaves: Reference[] = [];
  const steps: RecordedStep[] = [];
  const refer = (tensor: Tensor, isLeaf = false): Reference => {
    const reference = new Reference(known.size, tensor, isLeaf);
    known.set(tensor, reference);
    if (isLeaf) leaves.push(reference);
    return reference;
  };
  const read = (argument: unknown): Recorded => {
    if (argument instanceof Tensor) return known.get(argument) ?? refer(argument, true);
    if (Array.isArray(argument)) return argument.map(read);
    if (typeof argument === "bigint") return Number(argument);
    return (argument ?? null) as Recorded;
  };
  const named = (tensors: Readonly<Record<string, Tensor>>) =>
    new Map(Object.entries(tensors).map(([name, tensor]) => [name, known.get(tensor)!]));
  for (const tensor of Object.values(inputs)) refer(tensor);
  const before = listen((operator, args, result) => {
    const tensors = (Array.isArray(result) ? result : [result]) as Tensor[];
    steps.push({ operator, args: args.map(read), results: tensors.map((tensor) => refer(tensor)) });
  });
  try {
    const outputs = run();
    return { steps, leaves, inputs: named(inputs), outputs: named(outputs) };
  } finally {
    listen(before);
  }
}

/** A tensor of a program: its dimensions are sizes. */
export interface Value {
  readonly id: number;
  readonly dtype: DType;
  readonly dims: readonly Size[];
  /** What it holds, where no input decides that. */
  readonly constant: (() => Tensor) | undefined;
}

export type Argument = Value | Size | boolean | string | null | readonly Argument[];

export interface Step {
  readonly operator: string;
  readonly args: readonly Argument[];
  readonly results: readonly Value[];
}

export interface Program {
  readonly steps: readonly Step[];
  readonly inputs: ReadonlyMap<string, Value>;
  readonly outputs: ReadonlyMap<string, Value>;
}

/**
 * One program from the recordings of a model at several sizes, in the order of `assignmentsOf`.
 * @throws an Error where the model takes another path at another size
 */
export function merge(
  recordings: readonly Recording[],
  assignments: readonly Assignment[],
): Program {
  const [first, ...rest] = recordings as [Recording, ...Recording[]];
  for (const { steps } of rest)
    if (steps.map(({ operator }) => operator).join() !== first.steps.map((s) => s.operator).join())
      throw new Error("Expected the same operators at every size, received others.");
  const values = new Map<number, Value>();
  const size = (numbers: readonly number[]) => fitSize(numbers, assignments);
  const value = (references: readonly Reference[], isConstant = false): Value => {
    const [one] = references as [Reference];
    const { id, dtype, shape } = one;
    const known = values.get(id);
    if (known) return known;
    const dims = shape.map((_, axis) => size(references.map((other) => other.shape[axis]!)));
    const constant = isConstant && one.isReadable ? () => one.read() : undefined;
    const made = { id, dtype, dims, constant };
    values.set(id, made);
    return made;
  };
  const argument = (versions: readonly Recorded[]): Argument => {
    const [one] = versions;
    if (one instanceof Reference) return value(versions as Reference[]);
    if (Array.isArray(one))
      return one.map((_, i) => argument(versions.map((list) => (list as Recorded[])[i]!)));
    if (typeof one === "number") return size(versions as number[]);
    return one as Argument;
  };
  const across = <T>(pick: (recording: Recording) => T) => recordings.map(pick);
  const named = (pick: (recording: Recording) => ReadonlyMap<string, Reference>) =>
    new Map(
      [...pick(first).keys()].map((name) => [name, value(across((r) => pick(r).get(name)!))]),
    );

  const inputs = named((recording) => recording.inputs);
  for (const i of first.leaves.keys()) {
    requireEqual(across(({ leaves }) => leaves[i]!));
    value(
      across(({ leaves }) => leaves[i]!),
      true,
    );
  }
  const steps = first.steps.map(({ operator, results }, s) => {
    const args = first.steps[s]!.args.map((_, i) => argument(across((r) => r.steps[s]!.args[i]!)));
    const isConstant = args.every(isFree) && operator !== "arange";
    return {
      operator,
      args,
      results: results.map((_, i) =>
        value(
          across((r) => r.steps[s]!.results[i]!),
          isConstant,
        ),
      ),
    };
  });
  return { steps, inputs, outputs: named((recording) => recording.outputs) };
}

/** Whether an argument is the same whatever the input. */
function isFree(argument: Argument): boolean {
  if (argument === null || typeof argument !== "object") return true;
  if (Array.isArray(argument)) return argument.every(isFree);
  if ("symbols" in argument) return argument.symbols.length === 0;
  return (argument as Value).constant !== undefined;
}

/** A leaf must not depend on the sizes: parameters are one tensor, and numbers must be equal. */
function requireEqual([first, ...rest]: readonly Reference[]): void {
  if (rest.every((other) => first!.holdsSameAs(other))) return;
  throw new Error(
    `Expected a tensor made from numbers to be alike at every size, received [${first!.shape}] and others. ` +
      "Compute it by operators.",
  );
}
