// The one gate: every operator call of TypeScript goes through call(), so a tracer or profiler can listen here.
import { native } from "./binding.js";
import { TorchError } from "./error.js";
import type { OperatorInfo } from "./native-interface.js";
import { Tensor } from "./tensor.js";

export type Argument =
  | Tensor
  | number
  | bigint
  | boolean
  | string
  | null
  | undefined
  | readonly (Tensor | number | boolean | null | undefined)[];

/** Hears each operator after it ran. */
export type Listener = (operator: string, args: readonly unknown[], result: unknown) => void;

const operators = new Map<string, OperatorInfo>();
let listener: Listener | undefined;

/**
 * Calls any libtorch operator: `call("add.Tensor", a, b)` is `aten::add.Tensor`. Arguments go by position; undefined stands
 * for the schema's default, numbers become integers where whole. An in-place operator returns its first argument.
 * @throws {TorchError} with the operator's name, libtorch's reason and the operands' shapes.
 */
export function call<T = Tensor>(name: string, ...args: Argument[]): T {
  try {
    const operator = operators.get(name) ?? lookup(name);
    const result = native().call(operator.id, ...args.map(toHandle));
    const value = wrapResult(operator, result, args);
    listener?.(name, args, value);
    return value as T;
  } catch (error) {
    throw describe(name, args, error);
  }
}

function lookup(name: string): OperatorInfo {
  const [namespace, rest] = name.includes("::")
    ? (name.split("::") as [string, string])
    : ["aten", name];
  const dot = rest.indexOf(".");
  const operator = native().lookup(
    `${namespace}::${dot < 0 ? rest : rest.slice(0, dot)}`,
    dot < 0 ? "" : rest.slice(dot + 1),
  );
  operators.set(name, operator);
  return operator;
}

function toHandle(argument: Argument): unknown {
  if (argument instanceof Tensor) return argument.handle;
  if (Array.isArray(argument)) return argument.map(toHandle);
  return argument;
}

function wrapResult(operator: OperatorInfo, result: unknown, args: readonly Argument[]): unknown {
  if (operator.returns === "value") return result;
  if (operator.returns === "Tensors")
    return (result as (number | undefined)[]).map((handle) => handle && new Tensor(handle));
  if (!operator.mutates) return new Tensor(result as number);
  native().release(result as number); // another handle to the tensor that was changed in place
  return args[0];
}

function describe(name: string, args: readonly Argument[], error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TorchError) return error;
  const operands = args.flat().filter((argument): argument is Tensor => argument instanceof Tensor);
  const shapes = operands.length ? ` (${operands.slice(0, 8).map(String).join(", ")})` : "";
  return new TorchError(name, `${error.message}${shapes}`, { cause: error });
}

/** Sets the listener of call() and returns the one before; undefined removes it. */
export function listen(next: Listener | undefined): Listener | undefined {
  const before = listener;
  listener = next;
  return before;
}

/** The names of all operators, `aten::add.Tensor` style. */
export function operatorNames(): string[] {
  return native().operatorNames();
}
