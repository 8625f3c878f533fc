// The one error of the engine, and how what the addon throws becomes it.

/** An operator failed: wrong dtype, wrong shape, a freed tensor, no memory. The message carries the operands' shapes. */
export class TorchError extends Error {
  override readonly name = "TorchError";
  constructor(
    /** The operator as the dispatcher names it, e.g. `add.Tensor`. */
    readonly operator: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${operator}: ${message}`, options);
  }
}

/** Libtorch's advice on its own builds, and its lists of backends: pages that help no user. */
const advice = / (This could be because|PyTorch splits its backend).*$/s;

/** What was thrown, as a TorchError of `operator` that names the tensors among its operands. */
export function toTorchError(
  operator: string,
  thrown: unknown,
  operands: readonly unknown[] = [],
): unknown {
  if (!(thrown instanceof Error) || thrown instanceof TorchError) return thrown;
  const tensors = operands.filter((item) => typeof item === "object" && item !== null);
  const shapes = tensors.length ? ` (${tensors.slice(0, 8).join(", ")})` : "";
  return new TorchError(operator, thrown.message.replace(advice, "") + shapes, { cause: thrown });
}

/** Runs what calls the addon; its errors become TorchErrors of `operator`. */
export function naming<T>(operator: string, operands: readonly unknown[], fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw toTorchError(operator, error, operands);
  }
}
