// Random generators, one handle each, with their state as bytes.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <mutex>
#include <stdexcept>

#include "engine.h"

static at::Generator& toGenerator(const Call& call, napi_value value) {
  int64_t handle = toInt(call.env, value);
  auto& all = call.engine->generators;
  if (handle <= 0 || handle >= static_cast<int64_t>(all.size()) || !all[handle].defined())
    throw std::invalid_argument("Expected a live generator.");
  return all[handle];
}

static uint64_t toSeed(napi_env env, napi_value value) {
  uint64_t seed;
  bool lossless;
  if (napi_get_value_bigint_uint64(env, value, &seed, &lossless) == napi_ok && lossless) return seed;
  int64_t whole = toInt(env, value);
  if (whole < 0) throw std::invalid_argument("Expected a seed of at least 0, received " + std::to_string(whole) + ".");
  return static_cast<uint64_t>(whole);
}

/// createGenerator(device, seed) -> handle
static napi_value createGenerator(const Call& call) {
  c10::Device device(toString(call.env, call[0]));
  at::Generator generator = device.is_cpu() ? at::make_generator<at::CPUGeneratorImpl>()
                                            : at::globalContext().defaultGenerator(device).clone();
  generator.set_current_seed(toSeed(call.env, call[1]));
  auto& all = call.engine->generators;
  size_t handle = 1;
  while (handle < all.size() && all[handle].defined()) handle++;
  if (handle == all.size()) all.emplace_back();
  all[handle] = generator;
  return fromDouble(call.env, static_cast<double>(handle));
}

static void releaseGenerator(const Call& call) {
  toGenerator(call, call[0]) = at::Generator();
}

static void seedGenerator(const Call& call) {
  at::Generator& generator = toGenerator(call, call[0]);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(toSeed(call.env, call[1]));
}

static napi_value generatorState(const Call& call) {
  at::Generator& generator = toGenerator(call, call[0]);
  std::lock_guard<std::mutex> lock(generator.mutex());
  return fromTensor(call, generator.get_state());
}

static void setGeneratorState(const Call& call) {
  at::Generator& generator = toGenerator(call, call[0]);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(toTensor(call, call[1]));
}

std::vector<Export> randomExports() {
  return {{"createGenerator", guarded<createGenerator>},
          {"releaseGenerator", guarded<releaseGenerator>},
          {"seedGenerator", guarded<seedGenerator>},
          {"generatorState", guarded<generatorState>},
          {"setGeneratorState", guarded<setGeneratorState>}};
}
