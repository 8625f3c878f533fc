// What every native file shares: the per-environment state and the small vocabulary to talk to Node-API.
// The addon is a dumb pipe to libtorch. TypeScript validates; nothing here knows what a tensor stands for.
#pragma once
#include <node_api.h>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/api/include/torch/version.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 11, "libtorch 2.11 or newer is needed");

/// An operator, looked up once.
struct Operator {
  c10::OperatorHandle handle;
  const c10::FunctionSchema* schema;
};

/// One per JavaScript environment (main thread or worker): nothing is static, so the addon loads in workers.
/// A handle is an index into a table; 0 is never a live object.
struct Engine {
  std::vector<at::Tensor> tensors{1};
  std::vector<uint32_t> freeTensors;
  std::vector<at::Generator> generators{1};
  std::vector<Operator> operators;
  std::vector<std::unique_ptr<c10::InferenceMode>> inferenceModes;
  std::vector<std::shared_ptr<void>> modules;
  std::vector<std::shared_ptr<void>> reducers{1};
  std::map<std::string, c10::intrusive_ptr<c10::intrusive_ptr_target>> groups;  // libtorch's own registry does not hold them
  const struct KernelRunner* runner = nullptr;
  std::vector<void*> kernels;
  std::vector<c10::intrusive_ptr<c10::intrusive_ptr_target>> plans;  // plan.cc knows what they are
  std::shared_ptr<void> graphs;                                      // cuda/graph.cc knows

  uint32_t add(at::Tensor tensor);
  at::Tensor& tensor(uint32_t handle);
  void release(uint32_t handle);
  size_t live() const { return tensors.size() - 1 - freeTensors.size(); }
};

/// The arguments of one JavaScript call.
struct Call {
  static constexpr size_t kMax = 24;
  napi_env env;
  Engine* engine = nullptr;
  size_t count = kMax;
  napi_value args[kMax];
  Call(napi_env env, napi_callback_info info);
  napi_value operator[](size_t index) const;  // undefined when absent
};

/// Node-API answers nothing while a worker is being terminated, and what it should have written is then anything: a length
/// read that way once filled the memory.
inline void require(napi_status status) {
  if (status != napi_ok) throw std::runtime_error("Expected a value that can be read; the thread may be ending.");
}

// --- JavaScript -> C++ (each throws std::invalid_argument with what it expected) ---
bool isNullish(napi_env env, napi_value value);
napi_value property(napi_env env, napi_value object, const char* name);
double toDouble(napi_env env, napi_value value);
int64_t toInt(napi_env env, napi_value value);
bool toBool(napi_env env, napi_value value);
std::string toString(napi_env env, napi_value value);
std::vector<int64_t> toInts(napi_env env, napi_value value);
std::vector<at::Tensor> toTensors(const Call& call, napi_value value);
at::Tensor& toTensor(const Call& call, napi_value value);
c10::IValue toIValue(const Call& call, napi_value value, const c10::TypePtr& type);

// --- C++ -> JavaScript ---
napi_value fromDouble(napi_env env, double value);
napi_value fromBool(napi_env env, bool value);
napi_value fromString(napi_env env, std::string_view value);
napi_value fromInts(napi_env env, c10::IntArrayRef values);
napi_value fromTensor(const Call& call, at::Tensor tensor);
napi_value fromTensors(const Call& call, at::TensorList tensors);
napi_value fromIValue(const Call& call, const c10::IValue& value);
napi_value undefined(napi_env env);
void setProperty(napi_env env, napi_value object, const char* name, napi_value value);
napi_value newObject(napi_env env);

/// Turns a C++ exception into a JavaScript one without libtorch's backtrace. Every exported function runs inside it.
void throwToJs(napi_env env);

/// What a function that returns nothing gives JavaScript is undefined.
template <auto function>
napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    if constexpr (std::is_void_v<decltype(function(Call(env, info)))>) function(Call(env, info));
    else return function(Call(env, info));
  } catch (...) {
    throwToJs(env);
  }
  return nullptr;
}

struct Export {
  const char* name;
  napi_callback callback;
};

// One list a file; addon.cc joins them.
std::vector<Export> dispatchExports();
std::vector<Export> tensorExports();
std::vector<Export> autogradExports();
std::vector<Export> randomExports();
std::vector<Export> deviceExports();
std::vector<Export> moduleExports();
std::vector<Export> distributedExports();
std::vector<Export> reducerExports();
std::vector<Export> profileExports();
std::vector<Export> launchExports();
std::vector<Export> planExports();

/// Installs the counting, refusing CPU allocator (once a process).
void installAllocator();
/// Makes CUDA's operators known where libtorch has them and a GPU answers (once a process).
void loadCuda();
/// Opens the CUDA half, where it was built and libtorch's own is loaded: sets the runner of kernels, returns its exports.
std::vector<Export> openCudaHalf(Engine& engine);
