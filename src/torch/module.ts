// TorchScript modules. Such a file is a program: load only what the user names.
import { native } from "./binding.js";
import { TorchError } from "./error.js";
import { Tensor } from "./tensor.js";

export class ScriptModule {
  #handle: number | undefined;

  /** Loads a TorchScript file in evaluation mode. @throws {TorchError} if it is not one. */
  constructor(path: string, device = "cpu") {
    try {
      this.#handle = native().loadModule(path, device);
    } catch (error) {
      throw new TorchError("jit.load", `${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Runs a method ("forward") with tensors, numbers and booleans; one tensor comes back. */
  run(method: string, ...args: (Tensor | number | boolean)[]): Tensor {
    if (this.#handle === undefined)
      throw new TorchError(method, "Expected a live module, received one that was disposed.");
    try {
      const handles = args.map((argument) =>
        argument instanceof Tensor ? argument.handle : argument,
      );
      return new Tensor(native().runModule(this.#handle, method, ...handles) as number);
    } catch (error) {
      throw new TorchError(method, (error as Error).message, { cause: error });
    }
  }

  dispose(): void {
    if (this.#handle !== undefined) native().releaseModule(this.#handle);
    this.#handle = undefined;
  }
}
