// Kernels as JavaScript sees them: source to machine code, machine code to functions, functions to launches. Who does it is
// the runner's affair: the CUDA half's (cuda/kernels.cc) or a stand-in's.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "plan.h"

namespace {

const KernelRunner& runner(const Call& call) {
  if (!call.engine->runner) throw std::invalid_argument("Expected the engine's CUDA half, found none. Run: npx vitok doctor");
  return *call.engine->runner;
}

/// compileKernels(source, options) -> ArrayBuffer of machine code; the compiler's log is the error.
napi_value compileKernels(const Call& call) {
  std::vector<std::string> options;
  for (napi_value option : toValues(call.env, call[1])) options.push_back(toString(call.env, option));
  std::string code = runner(call).compile(toString(call.env, call[0]), options);
  void* data = nullptr;
  napi_value buffer;
  napi_create_arraybuffer(call.env, code.size(), &data, &buffer);
  std::memcpy(data, code.data(), code.size());
  return buffer;
}

/// loadKernel(machine code, name) -> id. It stays loaded as long as the process lives.
napi_value loadKernel(const Call& call) {
  void* data = nullptr;
  size_t size = 0;
  if (napi_get_arraybuffer_info(call.env, call[0], &data, &size) != napi_ok) throw std::invalid_argument("Expected an ArrayBuffer.");
  auto& kernels = call.engine->kernels;
  kernels.push_back(runner(call).load({static_cast<const char*>(data), size}, toString(call.env, call[1])));
  return fromDouble(call.env, static_cast<double>(kernels.size() - 1));
}

/// deviceTraits(device) -> [compute capability (90), multiprocessors]
napi_value deviceTraits(const Call& call) {
  c10::Device device(toString(call.env, call[0]));
  auto traits = runner(call).traits(device.has_index() ? device.index() : 0);
  return fromInts(call.env, {traits[0], traits[1]});
}

/// kernelDevice() -> "cuda", "cpu" or "": the kind of device that kernels run on
napi_value kernelDevice(const Call& call) {
  return fromString(call.env, !call.engine->runner ? "" : call.engine->runner->onHost ? "cpu" : "cuda");
}

/// launch(kernel, grid, block, arguments, tensors): once, without gradient.
napi_value launch(const Call& call) {
  Launch what = toLaunch(call, call[0], call[1], call[2]);
  std::vector<Argument> arguments;
  for (napi_value value : toValues(call.env, call[3])) arguments.push_back(toArgument(call, value));
  launchKernel(what, arguments, toTensors(call, call[4]));
  return undefined(call.env);
}

}  // namespace

std::vector<napi_value> toValues(napi_env env, napi_value array) {
  uint32_t count = 0;
  if (napi_get_array_length(env, array, &count) != napi_ok) throw std::invalid_argument("Expected an array.");
  std::vector<napi_value> values(count);
  for (uint32_t i = 0; i < count; i++) require(napi_get_element(env, array, i, &values[i]));
  return values;
}

Launch toLaunch(const Call& call, napi_value kernel, napi_value grid, napi_value block) {
  int64_t id = toInt(call.env, kernel);
  auto& kernels = call.engine->kernels;
  if (id < 0 || id >= static_cast<int64_t>(kernels.size())) throw std::invalid_argument("Expected a kernel's id.");
  Launch launch;
  launch.runner = &runner(call);
  launch.function = kernels[id];
  auto sizes = toInts(call.env, grid), threads = toInts(call.env, block);
  for (size_t i = 0; i < 3; i++) {
    launch.grid[i] = i < sizes.size() ? static_cast<unsigned>(sizes[i]) : 1;
    launch.block[i] = i < threads.size() ? static_cast<unsigned>(threads[i]) : 1;
  }
  return launch;
}

Argument toArgument(const Call& call, napi_value value) {
  auto pair = toValues(call.env, value);
  if (pair.size() != 2) throw std::invalid_argument("Expected [kind, value].");
  std::string kind = toString(call.env, pair[0]);
  Argument argument{};
  if (kind == "slot") {
    argument.kind = Argument::kSlot;
    argument.slot = static_cast<int>(toInt(call.env, pair[1]));
  } else if (kind == "slots") {
    argument.kind = Argument::kSlots;
    for (int64_t slot : toInts(call.env, pair[1])) argument.slots.push_back(static_cast<int>(slot));
  } else if (kind == "int") {
    argument.kind = Argument::kInt;
    argument.whole = static_cast<int32_t>(toInt(call.env, pair[1]));
  } else if (kind == "long") {
    argument.kind = Argument::kLong;
    argument.wide = toInt(call.env, pair[1]);
  } else if (kind == "float") {
    argument.kind = Argument::kFloat;
    argument.real = static_cast<float>(toDouble(call.env, pair[1]));
  } else {
    throw std::invalid_argument("Unknown kind of argument " + kind + ".");
  }
  return argument;
}

void launchKernel(const Launch& launch, const std::vector<Argument>& arguments, const std::vector<at::Tensor>& slots) {
  std::vector<void*> addresses(slots.size());
  c10::DeviceIndex device = 0;
  auto address = [&](int slot) -> void* {
    const at::Tensor& tensor = slots.at(slot);
    TORCH_CHECK(tensor.defined() && tensor.is_cpu() == launch.runner->onHost && (tensor.is_cpu() || tensor.is_cuda()), "Expected a tensor where kernels run in slot ", slot, ".");
    TORCH_CHECK(reinterpret_cast<uintptr_t>(tensor.data_ptr()) % 16 == 0, "Expected memory aligned to 16 bytes in slot ", slot, ".");
    device = std::max<c10::DeviceIndex>(0, tensor.device().index());
    return tensor.data_ptr();
  };
  std::vector<std::vector<void*>> lists;
  lists.reserve(arguments.size());
  std::vector<void*> parameters;
  for (const Argument& argument : arguments) {
    switch (argument.kind) {
      case Argument::kSlot:
        addresses[argument.slot] = address(argument.slot);
        parameters.push_back(&addresses[argument.slot]);
        break;
      case Argument::kSlots:
        lists.emplace_back();
        for (int slot : argument.slots) lists.back().push_back(slot < 0 ? nullptr : address(slot));
        parameters.push_back(lists.back().data());
        break;
      case Argument::kInt: parameters.push_back(const_cast<int32_t*>(&argument.whole)); break;
      case Argument::kLong: parameters.push_back(const_cast<int64_t*>(&argument.wide)); break;
      case Argument::kFloat: parameters.push_back(const_cast<float*>(&argument.real)); break;
      case Argument::kValue: throw std::invalid_argument("A kernel takes slots and numbers only.");
    }
  }
  launch.runner->launch(launch.function, launch.grid, launch.block, launch.shared, parameters.data(), device);
}

std::vector<Export> launchExports() {
  return {{"compileKernels", guarded<compileKernels>},
          {"loadKernel", guarded<loadKernel>},
          {"kernelDevice", guarded<kernelDevice>},
          {"deviceTraits", guarded<deviceTraits>},
          {"launch", guarded<launch>}};
}
