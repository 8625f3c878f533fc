// The list of what the addon exports, and nothing else.
#include "engine.h"

static napi_value versions(const Call& call) {
  napi_value result = newObject(call.env);
  setProperty(call.env, result, "torchBuilt", fromString(call.env, TORCH_VERSION));
  return result;
}

static void destroy(napi_env, void* data, void*) { delete static_cast<Engine*>(data); }

NAPI_MODULE_INIT() {
  installAllocator();
  loadCuda();
  auto* engine = new Engine();
  napi_set_instance_data(env, engine, destroy, nullptr);
  std::vector<Export> all{{"versions", guarded<versions>}};
  for (auto list : {dispatchExports(), tensorExports(), autogradExports(), randomExports(), deviceExports(),
                    moduleExports(), distributedExports(), reducerExports(), profileExports(), launchExports(),
                    planExports(), openCudaHalf(*engine)})
    all.insert(all.end(), list.begin(), list.end());
  for (const Export& item : all) {
    napi_value function;
    napi_create_function(env, item.name, NAPI_AUTO_LENGTH, item.callback, engine, &function);
    napi_set_named_property(env, exports, item.name, function);
  }
  return exports;
}
