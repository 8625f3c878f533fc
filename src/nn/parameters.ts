// A model is plain objects that hold tensors: its parameters are found by walking, named as PyTorch would name them.

import { ConfigError } from "../config-error.js";
import { type DType, keep, noGrad, Tensor, zeros } from "../torch/index.js";
import { forgetFloat8 } from "./float8.js";
import { forgetPacked } from "./one-dnn.js";

/** A leaf that learns, zero until tokenizer/init.ts or a file fills it. */
export function parameter(shape: readonly number[]): Tensor {
  return keep(zeros(shape)).requiresGrad_();
}

/** `patchEmbed` -> `patch_embed`: what a property is called in files. */
export const snakeCase = (name: string) =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Every parameter below a model, in the order of its properties: `encoder.blocks.0.attn.qkv.weight`. */
export function* parameters(model: object, prefix = ""): Generator<[name: string, tensor: Tensor]> {
  for (const [property, value] of Object.entries(model)) {
    const name = prefix + snakeCase(property);
    if (value instanceof Tensor) yield [name, value];
    else if (typeof value === "object" && value !== null) yield* parameters(value, `${name}.`);
  }
}

/** The parameters by name, as safetensors keep them. */
export function stateDict(model: object): Record<string, Tensor> {
  return Object.fromEntries(parameters(model));
}

/**
 * Copies tensors into a model's parameters of the same names, converting dtype and device.
 * @throws an Error listing what is missing, unknown or of another shape; then nothing was changed.
 */
export function loadStateDict(model: object, tensors: Readonly<Record<string, Tensor>>): void {
  const own = stateDict(model);
  const missing = Object.keys(own).filter((name) => !(name in tensors));
  const unknown = Object.keys(tensors).filter((name) => !(name in own));
  const misshapen = Object.entries(own)
    .filter(
      ([name, tensor]) => tensors[name] && String(tensors[name].shape) !== String(tensor.shape),
    )
    .map(
      ([name, tensor]) => `${name}: expected [${tensor.shape}], received [${tensors[name]!.shape}]`,
    );
  const say = (label: string, items: string[]) =>
    items.length
      ? [
          `${label} ${items.slice(0, 8).join("; ")}${items.length > 8 ? `; and ${items.length - 8} more` : ""}`,
        ]
      : [];
  const faults = [
    ...say("missing:", missing),
    ...say("unknown:", unknown),
    ...say("other shape:", misshapen),
  ];
  if (faults.length)
    throw new Error(
      `Expected weights that fit the model's config, received others: ${faults.join(". ")}.`,
    );
  noGrad(() => {
    for (const [name, tensor] of Object.entries(own)) tensor.copy_(tensors[name]!);
  });
}

/**
 * Moves a model's parameters to a device and dtype, in place.
 * @throws ConfigError for float8: that is a copy beside some weights (float8.ts), which not every model has
 */
export function moveTo(model: object, options: { device?: string; dtype?: DType }): void {
  if (options.dtype === "float8")
    throw new ConfigError(
      "Expected float32 or bfloat16 for this model, received float8, which is for the tokenizer's blocks. Use bfloat16.",
    );
  for (const [property, value] of Object.entries(model)) {
    if (value instanceof Tensor) {
      const moved = keep(noGrad(() => value.to(options)));
      if (moved.handle === value.handle) continue;
      const learns = value.requiresGrad;
      forgetCopies(value);
      value.dispose();
      Object.assign(model, { [property]: moved.requiresGrad_(learns) });
    } else if (typeof value === "object" && value !== null) moveTo(value, options);
  }
}

/** Frees what others keep beside a parameter. */
function forgetCopies(tensor: Tensor): void {
  forgetPacked(tensor);
  forgetFloat8(tensor);
}

/** Stops a part of a model from learning (or lets it again). */
export function freeze(model: object, frozen = true): void {
  for (const [, tensor] of parameters(model)) tensor.requiresGrad_(!frozen);
}

/** Frees a model's parameters now. */
export function disposeModel(model: object): void {
  for (const [, tensor] of parameters(model)) {
    forgetCopies(tensor);
    tensor.dispose();
  }
}
