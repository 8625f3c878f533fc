// Every libtorch operator through its dispatcher: look a schema up once, convert by its types, call it boxed.
#include <algorithm>
#include <stdexcept>

#include "engine.h"

static const c10::Type& unwrap(const c10::TypePtr& type) {
  return type->kind() == c10::TypeKind::OptionalType ? unwrap(type->castRaw<c10::OptionalType>()->getElementType()) : *type;
}

/// Whether an argument is a tensor or a list of them: to JavaScript a handle is a number, so it has to know.
static bool takesTensors(const c10::Argument& argument) {
  const c10::Type* type = &unwrap(argument.type());
  if (const auto* list = type->castRaw<c10::ListType>()) type = &unwrap(list->getElementType());
  return type->kind() == c10::TypeKind::TensorType;
}

/// Enumerations travel as whole numbers, and libtorch indexes its tables with them unchecked.
static void requireKnown(const c10::Argument& argument, const c10::IValue& value) {
  if (!value.isInt()) return;
  auto below = [&](auto end) {
    if (value.toInt() < 0 || value.toInt() >= static_cast<int64_t>(end))
      throw std::invalid_argument("Expected one of libtorch's codes, received " + std::to_string(value.toInt()) + ".");
  };
  switch (unwrap(argument.real_type()).kind()) {
    case c10::TypeKind::ScalarTypeType: return below(at::ScalarType::Undefined);
    case c10::TypeKind::MemoryFormatType: return below(at::MemoryFormat::NumOptions);
    case c10::TypeKind::LayoutType: return below(at::Layout::NumOptions);
    default: return;
  }
}

static bool isWritten(const c10::Argument& argument) { return argument.alias_info() && argument.alias_info()->isWrite(); }

/// lookup(name, overload) -> { id, returns: "Tensor" | "Tensors" | "value", written, takesTensors, schema }
static napi_value lookup(const Call& call) {
  std::string name = toString(call.env, call[0]), overload = toString(call.env, call[1]);
  auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!handle) throw std::invalid_argument("Unknown operator " + name + (overload.empty() ? "" : "." + overload) + ".");
  const c10::FunctionSchema& schema = handle->schema();
  bool allTensors = !schema.returns().empty();
  for (const auto& item : schema.returns()) allTensors &= item.type()->kind() == c10::TypeKind::TensorType;
  bool list = schema.returns().size() == 1 && schema.returns()[0].type()->isSubtypeOf(*c10::ListType::ofTensors());
  const char* returns = allTensors && schema.returns().size() == 1 ? "Tensor" : allTensors || list ? "Tensors" : "value";
  call.engine->operators.push_back({*handle, &schema});
  napi_value result = newObject(call.env);
  setProperty(call.env, result, "id", fromDouble(call.env, static_cast<double>(call.engine->operators.size() - 1)));
  setProperty(call.env, result, "returns", fromString(call.env, returns));
  const auto& arguments = schema.arguments();
  bool inPlace = schema.returns().size() == 1 && isWritten(schema.returns()[0]);
  auto written = std::find_if(arguments.begin(), arguments.end(), isWritten) - arguments.begin();
  setProperty(call.env, result, "written", fromDouble(call.env, inPlace ? static_cast<double>(written) : -1));
  napi_value takes;
  napi_create_array_with_length(call.env, arguments.size(), &takes);
  for (size_t i = 0; i < arguments.size(); i++) napi_set_element(call.env, takes, i, fromBool(call.env, takesTensors(arguments[i])));
  setProperty(call.env, result, "takesTensors", takes);
  setProperty(call.env, result, "schema", fromString(call.env, c10::str(schema)));
  return result;
}

/// call(id, ...arguments): undefined stands for the schema's default.
static napi_value callOperator(const Call& call) {
  uint32_t id = static_cast<uint32_t>(-1);
  napi_get_value_uint32(call.env, call[0], &id);
  if (id >= call.engine->operators.size()) throw std::invalid_argument("Expected an operator's id.");
  const Operator& op = call.engine->operators[id];
  const auto& arguments = op.schema->arguments();
  if (call.count - 1 > arguments.size())
    throw std::invalid_argument("Expected at most " + std::to_string(arguments.size()) + " arguments, received " + std::to_string(call.count - 1) + ".");
  torch::jit::Stack stack;
  stack.reserve(arguments.size());
  for (size_t i = 0; i < arguments.size(); i++) {
    const c10::Argument& argument = arguments[i];
    bool given = i + 1 < call.count;
    napi_valuetype type = napi_undefined;
    if (given) napi_typeof(call.env, call.args[i + 1], &type);
    try {
      if (type != napi_undefined) {
        stack.push_back(toIValue(call, call.args[i + 1], argument.type()));
        requireKnown(argument, stack.back());
      } else if (argument.default_value()) {
        stack.push_back(*argument.default_value());
      } else if (argument.type()->kind() == c10::TypeKind::OptionalType) {
        stack.emplace_back();
      } else {
        throw std::invalid_argument("Expected a value.");
      }
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("argument \"" + argument.name() + "\": " + error.what());
    }
  }
  op.handle.callBoxed(stack);
  if (stack.empty()) return undefined(call.env);
  if (stack.size() == 1) return fromIValue(call, stack[0]);
  napi_value result;
  napi_create_array_with_length(call.env, stack.size(), &result);
  for (size_t i = 0; i < stack.size(); i++) napi_set_element(call.env, result, i, fromIValue(call, stack[i]));
  return result;
}

static napi_value operatorNames(const Call& call) {
  auto names = c10::Dispatcher::singleton().getAllOpNames();
  napi_value result;
  napi_create_array_with_length(call.env, names.size(), &result);
  for (size_t i = 0; i < names.size(); i++) napi_set_element(call.env, result, i, fromString(call.env, c10::toString(names[i])));
  return result;
}

std::vector<Export> dispatchExports() {
  return {{"lookup", guarded<lookup>}, {"call", guarded<callOperator>}, {"operatorNames", guarded<operatorNames>}};
}
