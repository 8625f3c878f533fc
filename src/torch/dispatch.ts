// The one gate: every operator call of TypeScript goes through call(), so a tracer or profiler can listen here.
import { native } from "./binding.js";
import { toTorchError } from "./error.js";
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
  | readonly (Tensor | number | bigint | boolean | null | undefined)[];

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
    const handles = args.map((argument, index) =>
      toHandle(argument, operator.takesTensors[index] ?? false),
    );
    const result = native().call(operator.id, ...handles);
    const value = wrapResult(operator, result, args);
    listener?.(name, args, value);
    return value as T;
  } catch (error) {
    throw toTorchError(name, error, args.flat());
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

/** @internal The addon's number of an operator, for plans. */
export function operatorId(name: string): number {
  return (operators.get(name) ?? lookup(name)).id;
}

/** A handle is a number to the addon: only here can a number that poses as a tensor be told, or the reverse. */
function toHandle(argument: unknown, takesTensors: boolean): unknown {
  if (Array.isArray(argument)) return argument.map((item) => toHandle(item, takesTensors));
  if (argument instanceof Tensor === takesTensors)
    return takesTensors ? (argument as Tensor).handle : argument;
  if (argument === undefined || argument === null) return argument;
  throw new TypeError(
    takesTensors
      ? `Expected a tensor, received ${String(argument)}.`
      : "Expected a number or an option, received a tensor.",
  );
}

function wrapResult(operator: OperatorInfo, result: unknown, args: readonly Argument[]): unknown {
  if (operator.returns === "value") return result;
  if (operator.returns === "Tensors")
    return (result as (number | undefined)[]).map((handle) => handle && new Tensor(handle));
  if (operator.written < 0) return result && new Tensor(result as number);
  native().release(result as number); // another handle to the tensor that was changed in place
  return args[operator.written];
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
