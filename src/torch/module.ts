// TorchScript modules. Such a file is a program: load only what the user names.
import { native } from "./binding.js";
import { naming, TorchError } from "./error.js";
import { Tensor } from "./tensor.js";

export class ScriptModule {
  #handle: number | undefined;

  /** Loads a TorchScript file in evaluation mode. @throws {TorchError} if it is not one. */
  constructor(path: string, device = "cpu") {
    this.#handle = naming(`jit.load ${path}`, [], () => native().loadModule(path, device));
  }

  /** Runs a method ("forward") with tensors, numbers and booleans; one tensor comes back. */
  run(method: string, ...args: (Tensor | number | boolean)[]): Tensor {
    if (this.#handle === undefined)
      throw new TorchError(method, "Expected a live module, received one that was disposed.");
    const module = this.#handle;
    const handles = args.map((argument) =>
      argument instanceof Tensor ? argument.handle : argument,
    );
    return naming(
      method,
      args,
      () => new Tensor(native().runModule(module, method, ...handles) as number),
    );
  }

  dispose(): void {
    if (this.#handle !== undefined) native().releaseModule(this.#handle);
    this.#handle = undefined;
  }
}
