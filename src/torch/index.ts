// The engine's public face. Import from here: it installs the tensors' methods.
import "./methods.js";

export * from "./autograd.js";
export * from "./device.js";
export { type Argument, call, type Listener, listen, operatorNames } from "./dispatch.js";
export * from "./distributed.js";
export { type DType, dtypeWidth, type TypedArray } from "./dtype.js";
export { TorchError } from "./error.js";
export * from "./graph.js";
export * from "./kernels.js";
export * from "./module.js";
export * from "./ops.js";
export * from "./plan.js";
export * from "./profile.js";
export * from "./random.js";
export { keep, liveTensors, scope } from "./scope.js";
export * from "./static-inputs.js";
export { type Shape, Tensor, type TensorOptions } from "./tensor.js";
