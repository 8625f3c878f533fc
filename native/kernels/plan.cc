// A fused function described by data: steps (kernels and operators) over numbered slots, forward and, through autograd,
// backward. Slots: the inputs, the forward pass's buffers, the outputs' gradients, the backward pass's buffers.
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <stdexcept>

#include "plan.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

/// A tensor as kernels expect it. A buffer without `isMade` is what an operator returns; `isReturned`: it is, and is known.
struct Shape {
  std::vector<int64_t> sizes;
  at::ScalarType dtype = at::kFloat;
  at::MemoryFormat layout = at::MemoryFormat::Contiguous;
  bool isMade = false, isReturned = false;
};

struct Step {
  bool isKernel = false;
  Launch launch;
  std::optional<Operator> op;
  std::vector<Argument> arguments;
  std::vector<int> results;  // an operator's; -1 for one that nobody wants
};

struct Pass {
  std::vector<Shape> buffers;
  std::vector<Step> steps;
};

}  // namespace

struct Plan : torch::CustomClassHolder {
  std::vector<Shape> inputs;
  Pass forward, backward;
  std::vector<int> outputs;    // slots of the forward pass
  std::vector<int> gradients;  // for each input a slot, or -1
  std::vector<int> saved;      // slots of the forward pass that the backward pass reads
  std::vector<int> read;       // all slots that the backward pass reads
  int firstGradient() const { return static_cast<int>(inputs.size() + forward.buffers.size()); }
};

namespace {

at::Tensor fitted(const at::Tensor& tensor, const Shape& shape, const char* what, size_t index) {
  TORCH_CHECK(tensor.defined() && tensor.sizes() == c10::IntArrayRef(shape.sizes) && tensor.scalar_type() == shape.dtype, "Expected ",
              shape.dtype, " ", c10::IntArrayRef(shape.sizes), " for ", what, " ", index, ".");
  at::Tensor whole = tensor.contiguous(shape.layout);
  return reinterpret_cast<uintptr_t>(whole.data_ptr()) % 16 ? whole.clone(shape.layout) : whole;  // a part of another's memory
}

void makeBuffers(std::vector<at::Tensor>& slots, const std::vector<Shape>& buffers, c10::Device device) {
  for (const Shape& shape : buffers)
    slots.push_back(shape.isMade && !shape.isReturned ? at::empty(shape.sizes, at::TensorOptions().dtype(shape.dtype).device(device), shape.layout) : at::Tensor());
}

void runStep(const Step& step, std::vector<at::Tensor>& slots) {
  if (step.isKernel) return launchKernel(step.launch, step.arguments, slots);
  torch::jit::Stack stack;
  for (const Argument& argument : step.arguments)
    stack.push_back(argument.kind == Argument::kSlot ? c10::IValue(slots.at(argument.slot)) : argument.value);
  step.op->handle.callBoxed(stack);
  for (size_t i = 0; i < step.results.size(); i++)
    if (step.results[i] >= 0) slots.at(step.results[i]) = stack.at(i).toTensor();
}

variable_list runForward(const Plan& plan, at::TensorList inputs, std::vector<at::Tensor>& slots) {
  for (size_t i = 0; i < inputs.size(); i++) slots.push_back(fitted(inputs[i], plan.inputs[i], "input", i));
  makeBuffers(slots, plan.forward.buffers, slots.at(0).device());
  for (const Step& step : plan.forward.steps) runStep(step, slots);
  variable_list outputs;
  for (int slot : plan.outputs) outputs.push_back(slots.at(slot));
  return outputs;
}

struct Planned : torch::autograd::Function<Planned> {
  // A TensorList: autograd looks for variables in one, and not in a vector.
  static variable_list forward(AutogradContext* context, c10::intrusive_ptr<Plan> plan, at::TensorList inputs) {
    at::AutoDispatchBelowADInplaceOrView below;
    std::vector<at::Tensor> slots;
    variable_list outputs = runForward(*plan, inputs, slots);
    variable_list kept;
    for (int slot : plan->saved) kept.push_back(slots.at(slot));
    context->save_for_backward(kept);
    context->set_materialize_grads(false);  // only those that are read
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return outputs;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradOutputs) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto plan = c10::static_intrusive_pointer_cast<Plan>(context->saved_data["plan"].toCapsule());
    std::vector<at::Tensor> slots(plan->firstGradient());
    auto kept = context->get_saved_variables();
    auto any = std::find_if(gradOutputs.begin(), gradOutputs.end(), [](const at::Tensor& grad) { return grad.defined(); });
    TORCH_CHECK(any != gradOutputs.end(), "Expected a gradient of an output.");
    c10::Device device = any->device();
    for (size_t i = 0; i < kept.size(); i++) slots.at(plan->saved[i]) = kept[i];
    for (size_t i = 0; i < gradOutputs.size(); i++) {
      const Shape& shape = plan->forward.buffers.at(plan->outputs[i] - plan->inputs.size());
      at::Tensor grad = gradOutputs[i];
      bool isRead = std::find(plan->read.begin(), plan->read.end(), static_cast<int>(slots.size())) != plan->read.end();
      if (grad.defined() && shape.isMade) grad = fitted(grad.to(shape.dtype), shape, "the gradient of output", i);
      if (!grad.defined() && isRead && shape.isMade) {
        grad = at::empty(shape.sizes, at::TensorOptions().dtype(shape.dtype).device(device), shape.layout).zero_();
      }
      slots.push_back(grad);
    }
    makeBuffers(slots, plan->backward.buffers, device);
    for (const Step& step : plan->backward.steps) runStep(step, slots);
    variable_list gradients{at::Tensor()};  // of the plan itself
    for (int slot : plan->gradients) gradients.push_back(slot < 0 ? at::Tensor() : slots.at(slot));
    return gradients;
  }
};

Shape toShape(const Call& call, napi_value value) {
  Shape shape;
  if (isNullish(call.env, value)) return shape;
  shape.sizes = toInts(call.env, property(call.env, value, "shape"));
  shape.dtype = static_cast<at::ScalarType>(toInt(call.env, property(call.env, value, "dtype")));
  napi_value layout = property(call.env, value, "layout");
  if (!isNullish(call.env, layout)) shape.layout = static_cast<at::MemoryFormat>(toInt(call.env, layout));
  shape.isMade = true;
  shape.isReturned = !isNullish(call.env, property(call.env, value, "isReturned"));
  return shape;
}

/// { kernel, grid, block, args } or { operator, args, results }; an operator's constants are converted by its schema.
Step toStep(const Call& call, napi_value value) {
  napi_env env = call.env;
  Step step;
  auto values = toValues(env, property(env, value, "args"));
  napi_value op = property(env, value, "operator");
  step.isKernel = isNullish(env, op);
  if (step.isKernel) {
    step.launch = toLaunch(call, property(env, value, "kernel"), property(env, value, "grid"), property(env, value, "block"));
    step.launch.shared = static_cast<unsigned>(toInt(env, property(env, value, "shared")));
    for (napi_value item : values) step.arguments.push_back(toArgument(call, item));
    return step;
  }
  step.op = call.engine->operators.at(static_cast<size_t>(toInt(env, op)));
  const auto& schema = step.op->schema->arguments();
  if (values.size() != schema.size()) throw std::invalid_argument("Expected every argument of the operator.");
  for (size_t i = 0; i < values.size(); i++) {
    auto pair = toValues(env, values[i]);
    if (toString(env, pair.at(0)) == "slot") step.arguments.push_back(toArgument(call, values[i]));
    else {
      Argument argument{};
      argument.kind = Argument::kValue;
      argument.value = toIValue(call, pair.at(1), schema[i].type());
      step.arguments.push_back(std::move(argument));
    }
  }
  for (int64_t slot : toInts(env, property(env, value, "results"))) step.results.push_back(static_cast<int>(slot));
  return step;
}

Pass toPass(const Call& call, napi_value value) {
  Pass pass;
  for (napi_value item : toValues(call.env, property(call.env, value, "buffers"))) pass.buffers.push_back(toShape(call, item));
  for (napi_value item : toValues(call.env, property(call.env, value, "steps"))) pass.steps.push_back(toStep(call, item));
  return pass;
}

std::vector<int> readSlots(const Pass& pass) {
  std::vector<int> read;
  auto add = [&](int slot) {
    if (std::find(read.begin(), read.end(), slot) == read.end()) read.push_back(slot);
  };
  for (const Step& step : pass.steps)
    for (const Argument& argument : step.arguments) {
      if (argument.kind == Argument::kSlot) add(argument.slot);
      for (int slot : argument.slots) add(slot);
    }
  return read;
}

/// definePlan({ inputs, forward, outputs, backward, gradients }) -> id
napi_value definePlan(const Call& call) {
  auto plan = c10::make_intrusive<Plan>();
  napi_value spec = call[0];
  for (napi_value item : toValues(call.env, property(call.env, spec, "inputs"))) plan->inputs.push_back(toShape(call, item));
  plan->forward = toPass(call, property(call.env, spec, "forward"));
  for (int64_t slot : toInts(call.env, property(call.env, spec, "outputs"))) {
    if (slot < static_cast<int64_t>(plan->inputs.size()) || slot >= plan->firstGradient()) throw std::invalid_argument("Expected outputs among the forward pass's buffers.");
    plan->outputs.push_back(static_cast<int>(slot));
  }
  napi_value backward = property(call.env, spec, "backward");
  if (!isNullish(call.env, backward)) plan->backward = toPass(call, backward);
  for (int64_t slot : toInts(call.env, property(call.env, spec, "gradients"))) plan->gradients.push_back(static_cast<int>(slot));
  if (plan->gradients.size() != plan->inputs.size()) throw std::invalid_argument("Expected a gradient's slot, or -1, for each input.");
  plan->read = readSlots(plan->backward);
  std::copy_if(plan->read.begin(), plan->read.end(), std::back_inserter(plan->saved), [&](int slot) { return slot < plan->firstGradient(); });
  auto& plans = call.engine->plans;
  plans.push_back(plan);
  return fromDouble(call.env, static_cast<double>(plans.size() - 1));
}

/// runPlan(id, inputs) -> outputs, recorded for autograd where an input asks for it
napi_value runPlan(const Call& call) {
  auto& plans = call.engine->plans;
  size_t id = static_cast<size_t>(toInt(call.env, call[0]));
  if (id >= plans.size()) throw std::invalid_argument("Expected a plan's id.");
  auto plan = c10::static_intrusive_pointer_cast<Plan>(plans[id]);
  variable_list inputs = toTensors(call, call[1]);
  if (inputs.size() != plan->inputs.size()) throw std::invalid_argument("Expected " + std::to_string(plan->inputs.size()) + " inputs.");
  bool isRecorded = at::GradMode::is_enabled() && std::any_of(inputs.begin(), inputs.end(), [](const at::Tensor& x) { return x.requires_grad(); });
  if (isRecorded) return fromTensors(call, Planned::apply(plan, at::TensorList(inputs)));
  at::AutoDispatchBelowADInplaceOrView below;
  std::vector<at::Tensor> slots;
  return fromTensors(call, runForward(*plan, inputs, slots));
}

}  // namespace

std::vector<Export> planExports() { return {{"definePlan", guarded<definePlan>}, {"runPlan", guarded<runPlan>}}; }
