// A random generator of libtorch's, with its state. Equal seeds give equal numbers on one kind of device.
import { native } from "./binding.js";
import { naming } from "./error.js";
import { Tensor } from "./tensor.js";

const collected = new FinalizationRegistry<number>((handle) => native().releaseGenerator(handle));

export class Generator {
  /** @internal */
  readonly handle: number;

  constructor(seed: number | bigint, device = "cpu") {
    this.handle = naming("Generator", [], () => native().createGenerator(device, seed));
    collected.register(this, this.handle);
  }

  /** Starts over from a seed: 0 to 2^53 - 1, or a bigint below 2^64. */
  seed(seed: number | bigint): this {
    naming("Generator.seed", [], () => native().seedGenerator(this.handle, seed));
    return this;
  }

  /** All there is to know to go on exactly from here. */
  getState(): Uint8Array {
    const state = new Tensor(native().generatorState(this.handle));
    const bytes = state.toBytes();
    state.dispose();
    return bytes;
  }

  setState(state: Uint8Array): void {
    const tensor = Tensor.from(state);
    try {
      naming("Generator.setState", [tensor], () =>
        native().setGeneratorState(this.handle, tensor.handle),
      );
    } finally {
      tensor.dispose();
    }
  }
}
