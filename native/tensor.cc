// Tensors and raw bytes, both ways; metadata; handles.
#include <cstring>
#include <stdexcept>

#include "engine.h"

struct Bytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

/// A view of a typed array, DataView or ArrayBuffer; valid during the call only.
static Bytes toBytes(napi_env env, napi_value value) {
  Bytes bytes;
  void* data = nullptr;
  bool is = false;
  if (napi_is_typedarray(env, value, &is) == napi_ok && is) {
    napi_typedarray_type type;
    size_t length;
    require(napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
    static const size_t widths[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    if (type > napi_biguint64_array) throw std::invalid_argument("Expected a typed array of a known type.");
    return {static_cast<uint8_t*>(data), length * widths[type]};
  }
  if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) {
    require(napi_get_arraybuffer_info(env, value, &data, &bytes.size));
    bytes.data = static_cast<uint8_t*>(data);
    return bytes;
  }
  throw std::invalid_argument("Expected a typed array or ArrayBuffer.");
}

static at::ScalarType toScalarType(napi_env env, napi_value value) {
  int64_t code = toInt(env, value);
  if (code < 0 || code >= static_cast<int64_t>(at::ScalarType::NumOptions)) throw std::invalid_argument("Expected a dtype.");
  return static_cast<at::ScalarType>(code);
}

/// fromBytes(bytes, shape, dtype, device) -> tensor; copies.
static napi_value fromBytes(const Call& call) {
  Bytes bytes = toBytes(call.env, call[0]);
  std::vector<int64_t> shape = toInts(call.env, call[1]);
  at::ScalarType dtype = toScalarType(call.env, call[2]);
  size_t expected = c10::elementSize(dtype);
  for (int64_t size : shape) {
    if (size < 0) throw std::invalid_argument("Expected sizes of at least 0 in the shape.");
    if (__builtin_mul_overflow(expected, static_cast<size_t>(size), &expected)) throw std::invalid_argument("The shape is too large.");
  }
  if (expected != bytes.size)
    throw std::invalid_argument("Expected " + std::to_string(expected) + " bytes for the shape, received " + std::to_string(bytes.size) + ".");
  at::Tensor host = at::empty(shape, at::TensorOptions().dtype(dtype));
  if (expected) std::memcpy(host.data_ptr(), bytes.data, expected);
  c10::Device device(toString(call.env, call[3]));
  return fromTensor(call, device.is_cpu() ? host : host.to(device));
}

/// copyBytes(tensor, target): the tensor's elements, contiguous, into a typed array of the same byte length.
static void copyBytes(const Call& call) {
  at::Tensor host = toTensor(call, call[0]).detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous();
  Bytes target = toBytes(call.env, call[1]);
  if (host.nbytes() != target.size)
    throw std::invalid_argument("Expected a target of " + std::to_string(host.nbytes()) + " bytes, received " + std::to_string(target.size) + ".");
  if (target.size) std::memcpy(target.data, host.const_data_ptr(), target.size);
}

/// writeBytes(tensor, bytes): into a contiguous tensor of the host, in place.
static void writeBytes(const Call& call) {
  at::Tensor& tensor = toTensor(call, call[0]);
  Bytes bytes = toBytes(call.env, call[1]);
  if (!tensor.is_cpu() || !tensor.is_contiguous() || tensor.nbytes() != bytes.size)
    throw std::invalid_argument("Expected a contiguous tensor on the host of " + std::to_string(bytes.size) + " bytes.");
  if (bytes.size) std::memcpy(tensor.data_ptr(), bytes.data, bytes.size);
}

/// meta(tensor) -> [dtype code, device, ...shape]
static napi_value meta(const Call& call) {
  const at::Tensor& tensor = toTensor(call, call[0]);
  napi_value result;
  napi_create_array_with_length(call.env, tensor.dim() + 2, &result);
  napi_set_element(call.env, result, 0, fromDouble(call.env, static_cast<double>(tensor.scalar_type())));
  napi_set_element(call.env, result, 1, fromString(call.env, tensor.device().str()));
  for (int64_t i = 0; i < tensor.dim(); i++) napi_set_element(call.env, result, i + 2, fromDouble(call.env, static_cast<double>(tensor.size(i))));
  return result;
}

static napi_value strides(const Call& call) { return fromInts(call.env, toTensor(call, call[0]).strides()); }

static napi_value item(const Call& call) {
  const at::Tensor& tensor = toTensor(call, call[0]);
  return fromDouble(call.env, tensor.item().toDouble());
}

static void release(const Call& call) {
  for (size_t i = 0; i < call.count; i++) {
    uint32_t handle = 0;
    napi_get_value_uint32(call.env, call.args[i], &handle);
    call.engine->release(handle);
  }
}

/// releaseAll(Uint32Array, count): how a scope ends.
static void releaseAll(const Call& call) {
  Bytes bytes = toBytes(call.env, call[0]);
  size_t count = static_cast<size_t>(toInt(call.env, call[1]));
  if (count * sizeof(uint32_t) > bytes.size) throw std::invalid_argument("Expected count to fit the array.");
  for (size_t i = 0; i < count; i++) {
    uint32_t handle;
    std::memcpy(&handle, bytes.data + i * sizeof(uint32_t), sizeof(uint32_t));
    call.engine->release(handle);
  }
}

static napi_value live(const Call& call) { return fromDouble(call.env, static_cast<double>(call.engine->live())); }

std::vector<Export> tensorExports() {
  return {{"fromBytes", guarded<fromBytes>}, {"copyBytes", guarded<copyBytes>}, {"writeBytes", guarded<writeBytes>},   {"meta", guarded<meta>},
          {"strides", guarded<strides>},     {"item", guarded<item>},             {"release", guarded<release>},
          {"releaseAll", guarded<releaseAll>}, {"live", guarded<live>}};
}
