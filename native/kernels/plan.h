// Kernels' launches and the arguments of steps: what launch.cc and plan.cc share.
#pragma once
#include "../engine.h"
#include "kernel-runner.h"

/// An argument of a kernel or an operator: a slot, some slots, or a constant.
struct Argument {
  enum Kind { kSlot, kSlots, kInt, kLong, kFloat, kValue } kind;
  int slot = 0;
  std::vector<int> slots;
  int32_t whole = 0;
  int64_t wide = 0;
  float real = 0;
  c10::IValue value;
};

struct Launch {
  const KernelRunner* runner = nullptr;
  void* function = nullptr;
  unsigned grid[3] = {1, 1, 1}, block[3] = {1, 1, 1}, shared = 0;
};

/// Calls a kernel on the current stream; `slots` are what kSlot and kSlots point into.
void launchKernel(const Launch& launch, const std::vector<Argument>& arguments, const std::vector<at::Tensor>& slots);
Launch toLaunch(const Call& call, napi_value kernel, napi_value grid, napi_value block);
/// ["slot", 3], ["slots", [3, -1]] (-1 is no address), ["int", 7], ["long", 7], ["float", 0.5]; other kinds belong to operators.
Argument toArgument(const Call& call, napi_value value);
std::vector<napi_value> toValues(napi_env env, napi_value array);
