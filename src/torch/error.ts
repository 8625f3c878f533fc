// The one error of the engine.

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
