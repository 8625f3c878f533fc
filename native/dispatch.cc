// Every libtorch operator through its dispatcher: look a schema up once, convert by its types, call it boxed.
#include <stdexcept>

#include "engine.h"

/// lookup(name, overload) -> { id, returns: "Tensor" | "Tensors" | "value", inPlace, schema }
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
  setProperty(call.env, result, "mutates", fromBool(call.env, schema.is_mutable()));
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
      if (type != napi_undefined) stack.push_back(toIValue(call, call.args[i + 1], argument.type()));
      else if (argument.default_value()) stack.push_back(*argument.default_value());
      else if (argument.type()->kind() == c10::TypeKind::OptionalType) stack.emplace_back();
      else throw std::invalid_argument("Expected a value.");
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
