// Autograd: backward, grad, and the modes (gradients on or off, inference, autocast).
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <stdexcept>

#include "engine.h"

static std::vector<at::Tensor> optionalTensors(const Call& call, napi_value value) {
  return isNullish(call.env, value) ? std::vector<at::Tensor>{} : toTensors(call, value);
}

/// backward(outputs, gradOutputs | undefined, retainGraph)
static void backward(const Call& call) {
  auto outputs = toTensors(call, call[0]);
  torch::autograd::backward(outputs, optionalTensors(call, call[1]), toBool(call.env, call[2]));
}

/// grad(outputs, inputs, gradOutputs | undefined, retainGraph, createGraph, allowUnused) -> gradients
static napi_value grad(const Call& call) {
  auto outputs = toTensors(call, call[0]), inputs = toTensors(call, call[1]);
  auto gradients = torch::autograd::grad(outputs, inputs, optionalTensors(call, call[2]), toBool(call.env, call[3]),
                                         toBool(call.env, call[4]), toBool(call.env, call[5]));
  return fromTensors(call, gradients);
}

static napi_value getGrad(const Call& call) { return fromTensor(call, toTensor(call, call[0]).grad()); }

static void setGrad(const Call& call) {
  at::Tensor& tensor = toTensor(call, call[0]);
  if (isNullish(call.env, call[1])) {
    tensor.mutable_grad().reset();
    return;
  }
  const at::Tensor& gradient = toTensor(call, call[1]);
  if (gradient.sizes() != tensor.sizes() || gradient.device() != tensor.device() || gradient.scalar_type() != tensor.scalar_type())
    throw std::invalid_argument("Expected a gradient of the tensor's own shape, dtype and device.");
  tensor.mutable_grad() = gradient;
}

static void setRequiresGrad(const Call& call) {
  toTensor(call, call[0]).requires_grad_(toBool(call.env, call[1]));
}

static napi_value requiresGrad(const Call& call) { return fromBool(call.env, toTensor(call, call[0]).requires_grad()); }

/// setGradMode(enabled) -> what it was
static napi_value setGradMode(const Call& call) {
  bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(toBool(call.env, call[0]));
  return fromBool(call.env, before);
}

static void pushInference(const Call& call) {
  call.engine->inferenceModes.push_back(std::make_unique<c10::InferenceMode>());
}

static void popInference(const Call& call) {
  if (call.engine->inferenceModes.empty()) throw std::invalid_argument("Expected inference mode to be on.");
  call.engine->inferenceModes.pop_back();
}

/// setAutocast(deviceType, dtype code | -1 for off): leaving it drops the cache of cast weights.
static void setAutocast(const Call& call) {
  c10::DeviceType device = c10::Device(toString(call.env, call[0])).type();
  int64_t dtype = toInt(call.env, call[1]);
  at::autocast::set_autocast_enabled(device, dtype >= 0);
  if (dtype >= 0) at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(dtype));
  else at::autocast::clear_cache();
  at::autocast::set_autocast_cache_enabled(true);
}

std::vector<Export> autogradExports() {
  return {{"backward", guarded<backward>},
          {"grad", guarded<grad>},
          {"getGrad", guarded<getGrad>},
          {"setGrad", guarded<setGrad>},
          {"requiresGrad", guarded<requiresGrad>},
          {"setRequiresGrad", guarded<setRequiresGrad>},
          {"setGradMode", guarded<setGradMode>},
          {"pushInference", guarded<pushInference>},
          {"popInference", guarded<popInference>},
          {"setAutocast", guarded<setAutocast>}};
}
