// TorchScript modules, only for files the user names: such a file is a program.
#include <torch/csrc/jit/serialization/import.h>

#include <stdexcept>

#include "engine.h"

using Module = torch::jit::Module;

static Module& toModule(const Call& call, napi_value value) {
  int64_t handle = toInt(call.env, value);
  auto& all = call.engine->modules;
  if (handle < 0 || handle >= static_cast<int64_t>(all.size()) || !all[handle]) throw std::invalid_argument("Expected a live module.");
  return *static_cast<Module*>(all[handle].get());
}

/// loadModule(path, device) -> handle
static napi_value loadModule(const Call& call) {
  auto module = std::make_shared<Module>(torch::jit::load(toString(call.env, call[0]), c10::Device(toString(call.env, call[1]))));
  module->eval();
  call.engine->modules.push_back(module);
  return fromDouble(call.env, static_cast<double>(call.engine->modules.size() - 1));
}

/// runModule(handle, method, ...arguments): tensors, numbers and booleans by the method's schema.
static napi_value runModule(const Call& call) {
  auto method = toModule(call, call[0]).get_method(toString(call.env, call[1]));
  const auto& arguments = method.function().getSchema().arguments();
  std::vector<c10::IValue> inputs;
  for (size_t i = 2; i < call.count; i++) {
    if (i - 1 >= arguments.size()) throw std::invalid_argument("Expected at most " + std::to_string(arguments.size() - 1) + " arguments.");
    inputs.push_back(toIValue(call, call[i], arguments[i - 1].type()));
  }
  return fromIValue(call, method(std::move(inputs)));
}

static void releaseModule(const Call& call) {
  toModule(call, call[0]);
  call.engine->modules[toInt(call.env, call[0])].reset();
}

std::vector<Export> moduleExports() {
  return {{"loadModule", guarded<loadModule>}, {"runModule", guarded<runModule>}, {"releaseModule", guarded<releaseModule>}};
}
