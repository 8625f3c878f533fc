// JavaScript values to C++ and IValues by the schema's types, and back.
#include <cmath>
#include <stdexcept>

#include "engine.h"

uint32_t Engine::add(at::Tensor tensor) {
  if (!freeTensors.empty()) {
    uint32_t handle = freeTensors.back();
    freeTensors.pop_back();
    tensors[handle] = std::move(tensor);
    return handle;
  }
  tensors.push_back(std::move(tensor));
  return static_cast<uint32_t>(tensors.size() - 1);
}

at::Tensor& Engine::tensor(uint32_t handle) {
  if (handle == 0 || handle >= tensors.size() || !tensors[handle].defined())
    throw std::invalid_argument("Expected a live tensor, received one that was freed. Keep it with keep() or make it in an outer scope.");
  return tensors[handle];
}

void Engine::release(uint32_t handle) {
  if (handle == 0 || handle >= tensors.size() || !tensors[handle].defined()) return;
  tensors[handle].reset();
  freeTensors.push_back(handle);
}

Call::Call(napi_env env, napi_callback_info info) : env(env) {
  void* data;
  require(napi_get_cb_info(env, info, &count, args, nullptr, &data));
  if (count > kMax) throw std::invalid_argument("Expected at most 23 arguments.");
  engine = static_cast<Engine*>(data);
}

napi_value Call::operator[](size_t index) const { return index < count ? args[index] : undefined(env); }

static napi_valuetype typeOf(napi_env env, napi_value value) {
  napi_valuetype type;
  require(napi_typeof(env, value, &type));
  return type;
}

static const char* typeName(napi_env env, napi_value value) {
  static const char* const names[] = {"undefined", "null", "a boolean", "a number", "a string",
                                      "a symbol", "an object", "a function", "an external", "a bigint"};
  return names[typeOf(env, value)];
}

[[noreturn]] static void mismatch(napi_env env, const std::string& expected, napi_value value) {
  throw std::invalid_argument("Expected " + expected + ", received " + typeName(env, value) + ".");
}

static uint32_t length(napi_env env, napi_value value, const char* expected) {
  bool isArray = false;
  require(napi_is_array(env, value, &isArray));
  if (!isArray) mismatch(env, expected, value);
  uint32_t size = 0;
  require(napi_get_array_length(env, value, &size));
  return size;
}

/// Fails where a getter throws, too.
static napi_value element(napi_env env, napi_value array, uint32_t index) {
  napi_value value;
  require(napi_get_element(env, array, index, &value));
  return value;
}

bool isNullish(napi_env env, napi_value value) {
  napi_valuetype type = typeOf(env, value);
  return type == napi_undefined || type == napi_null;
}

napi_value property(napi_env env, napi_value object, const char* name) {
  napi_value value;
  if (napi_get_named_property(env, object, name, &value) != napi_ok) mismatch(env, std::string("an object with ") + name, object);
  return value;
}

double toDouble(napi_env env, napi_value value) {
  double result;
  if (napi_get_value_double(env, value, &result) != napi_ok) mismatch(env, "a number", value);
  return result;
}

int64_t toInt(napi_env env, napi_value value) {
  double number;
  if (napi_get_value_double(env, value, &number) == napi_ok) {
    if (std::trunc(number) != number || std::abs(number) > 9007199254740992.0)
      throw std::invalid_argument("Expected a whole number, received " + std::to_string(number) + ".");
    return static_cast<int64_t>(number);
  }
  int64_t big;
  bool lossless;
  if (napi_get_value_bigint_int64(env, value, &big, &lossless) == napi_ok && lossless) return big;
  mismatch(env, "a whole number", value);
}

bool toBool(napi_env env, napi_value value) {
  bool result;
  if (napi_get_value_bool(env, value, &result) != napi_ok) mismatch(env, "a boolean", value);
  return result;
}

std::string toString(napi_env env, napi_value value) {
  size_t size;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &size) != napi_ok) mismatch(env, "a string", value);
  std::string result(size, '\0');
  require(napi_get_value_string_utf8(env, value, result.data(), size + 1, &size));
  return result;
}

std::vector<int64_t> toInts(napi_env env, napi_value value) {
  uint32_t size = length(env, value, "an array of whole numbers");
  std::vector<int64_t> result(size);
  for (uint32_t i = 0; i < size; i++) result[i] = toInt(env, element(env, value, i));
  return result;
}

at::Tensor& toTensor(const Call& call, napi_value value) {
  uint32_t handle;
  if (typeOf(call.env, value) != napi_number || napi_get_value_uint32(call.env, value, &handle) != napi_ok)
    mismatch(call.env, "a tensor", value);
  return call.engine->tensor(handle);
}

std::vector<at::Tensor> toTensors(const Call& call, napi_value value) {
  uint32_t size = length(call.env, value, "an array of tensors");
  std::vector<at::Tensor> result(size);
  for (uint32_t i = 0; i < size; i++) result[i] = toTensor(call, element(call.env, value, i));
  return result;
}

/// A JavaScript number carries no int/float distinction: whole numbers become integer scalars, so that integer tensors
/// stay integer; for floating tensors the two are the same.
static c10::IValue toNumber(napi_env env, napi_value value) {
  bool boolean;
  if (napi_get_value_bool(env, value, &boolean) == napi_ok) return boolean;
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) return toInt(env, value);
  if (std::trunc(number) == number && std::abs(number) < 9007199254740992.0) return static_cast<int64_t>(number);
  return number;
}

static c10::IValue toList(const Call& call, napi_value value, const c10::TypePtr& itemType) {
  napi_env env = call.env;
  using Kind = c10::TypeKind;
  switch (itemType->kind()) {
    case Kind::IntType:
    case Kind::SymIntType: {
      double number;  // a bare number stands for a list of one, as int[1] does in the schema language
      if (napi_get_value_double(env, value, &number) == napi_ok) return c10::List<int64_t>({toInt(env, value)});
      return toInts(env, value);
    }
    case Kind::TensorType:
      return toTensors(call, value);
    default: {
      c10::impl::GenericList list(itemType);
      uint32_t size = length(env, value, "an array");
      for (uint32_t i = 0; i < size; i++) list.push_back(toIValue(call, element(env, value, i), itemType));
      return list;
    }
  }
}

c10::IValue toIValue(const Call& call, napi_value value, const c10::TypePtr& type) {
  napi_env env = call.env;
  using Kind = c10::TypeKind;
  switch (type->kind()) {
    case Kind::TensorType:
      return toTensor(call, value);
    case Kind::OptionalType:
      if (isNullish(env, value)) return {};
      return toIValue(call, value, type->castRaw<c10::OptionalType>()->getElementType());
    case Kind::IntType:
    case Kind::SymIntType:
      return toInt(env, value);
    case Kind::FloatType:
      return toDouble(env, value);
    case Kind::NumberType:
      return toNumber(env, value);
    case Kind::BoolType:
      return toBool(env, value);
    case Kind::StringType:
    case Kind::AnyType:  // a group's name in the operators of c10d
      return toString(env, value);
    case Kind::DeviceObjType:
      return c10::Device(toString(env, value));
    case Kind::GeneratorType: {
      int64_t handle = toInt(env, value);
      auto& all = call.engine->generators;
      if (handle <= 0 || handle >= static_cast<int64_t>(all.size()) || !all[handle].defined())
        throw std::invalid_argument("Expected a live generator.");
      return all[handle];
    }
    case Kind::ListType:
      return toList(call, value, type->castRaw<c10::ListType>()->getElementType());
    default:
      throw std::invalid_argument("Arguments of type " + type->str() + " are not supported.");
  }
}

napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

napi_value fromDouble(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value fromBool(napi_env env, bool value) {
  napi_value result;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value fromString(napi_env env, std::string_view value) {
  napi_value result;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

napi_value fromInts(napi_env env, c10::IntArrayRef values) {
  napi_value result;
  napi_create_array_with_length(env, values.size(), &result);
  for (size_t i = 0; i < values.size(); i++) napi_set_element(env, result, i, fromDouble(env, static_cast<double>(values[i])));
  return result;
}

napi_value fromTensor(const Call& call, at::Tensor tensor) {
  if (!tensor.defined()) return undefined(call.env);
  napi_value result;
  napi_create_uint32(call.env, call.engine->add(std::move(tensor)), &result);
  return result;
}

napi_value fromTensors(const Call& call, at::TensorList tensors) {
  napi_value result;
  napi_create_array_with_length(call.env, tensors.size(), &result);
  for (size_t i = 0; i < tensors.size(); i++) napi_set_element(call.env, result, i, fromTensor(call, tensors[i]));
  return result;
}

napi_value fromIValue(const Call& call, const c10::IValue& value) {
  if (value.isTensor()) return fromTensor(call, value.toTensor());
  if (value.isBool()) return fromBool(call.env, value.toBool());
  if (value.isInt()) return fromDouble(call.env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return fromDouble(call.env, value.toDouble());
  if (value.isScalar()) return fromDouble(call.env, value.toScalar().toDouble());
  if (value.isString()) return fromString(call.env, value.toStringRef());
  if (value.isTensorList()) return fromTensors(call, value.toTensorVector());
  if (value.isIntList()) return fromInts(call.env, value.toIntVector());
  if (value.isNone()) return undefined(call.env);
  if (value.isTuple() || value.isList()) {
    const auto& items = value.isTuple() ? value.toTupleRef().elements().vec() : value.toListRef().vec();
    napi_value result;
    napi_create_array_with_length(call.env, items.size(), &result);
    for (size_t i = 0; i < items.size(); i++) napi_set_element(call.env, result, i, fromIValue(call, items[i]));
    return result;
  }
  throw std::invalid_argument("Results of type " + value.tagKind() + " are not supported.");
}

napi_value newObject(napi_env env) {
  napi_value object;
  napi_create_object(env, &object);
  return object;
}

void setProperty(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

void throwToJs(napi_env env) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) return;
  try {
    throw;
  } catch (const c10::Error& error) {
    napi_throw_error(env, nullptr, error.what_without_backtrace());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  } catch (...) {
    napi_throw_error(env, nullptr, "unknown native error");
  }
}
