// CUDA graphs and streams, and the list of what this library exports. It is a second library, built where CUDA's headers are;
// the addon opens it where libtorch's own CUDA half answered.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAStream.h>

#include <stdexcept>

#include "../engine.h"

namespace {

struct Graphs {
  std::vector<std::unique_ptr<at::cuda::CUDAGraph>> all;
};
std::vector<std::unique_ptr<at::cuda::CUDAGraph>>& graphsOf(const Call& call) {
  if (!call.engine->graphs) call.engine->graphs = std::make_shared<Graphs>();
  return static_cast<Graphs*>(call.engine->graphs.get())->all;
}

c10::cuda::CUDAStream toStream(const Call& call, napi_value value) {
  int64_t id = toInt(call.env, value);
  return c10::cuda::CUDAStream(c10::cuda::CUDAStream::UNCHECKED, c10::Stream(c10::Stream::UNSAFE, c10::Device(c10::kCUDA, c10::cuda::current_device()), id));
}

/// createStream(device) -> id; 0 is the device's default stream
napi_value createStream(const Call& call) {
  c10::Device device(toString(call.env, call[0]));
  c10::cuda::set_device(device.has_index() ? device.index() : 0);
  return fromDouble(call.env, static_cast<double>(c10::cuda::getStreamFromPool(false, device.has_index() ? device.index() : 0).id()));
}

/// setStream(id) -> the id of the one before
napi_value setStream(const Call& call) {
  auto before = c10::cuda::getCurrentCUDAStream();
  c10::cuda::setCurrentCUDAStream(toStream(call, call[0]));
  return fromDouble(call.env, static_cast<double>(before.id()));
}

/// waitStream(waiter, other): what follows on `waiter` starts after what is now on `other`
napi_value waitStream(const Call& call) {
  c10::Event event(c10::DeviceType::CUDA);
  event.record(toStream(call, call[1]));
  event.block(toStream(call, call[0]));
  return undefined(call.env);
}

at::cuda::CUDAGraph& toGraph(const Call& call, napi_value value) {
  size_t id = static_cast<size_t>(toInt(call.env, value));
  auto& graphs = graphsOf(call);
  if (id >= graphs.size() || !graphs[id]) throw std::invalid_argument("Expected a live graph.");
  return *graphs[id];
}

/// beginCapture(generators): on the current stream, which is not the default one. -> graph
napi_value beginCapture(const Call& call) {
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  for (int64_t handle : toInts(call.env, call[0])) graph->register_generator_state(call.engine->generators.at(static_cast<size_t>(handle)));
  graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  auto& graphs = graphsOf(call);
  graphs.push_back(std::move(graph));
  return fromDouble(call.env, static_cast<double>(graphs.size() - 1));
}

napi_value endCapture(const Call& call) {
  toGraph(call, call[0]).capture_end();
  return undefined(call.env);
}

napi_value replayGraph(const Call& call) {
  toGraph(call, call[0]).replay();
  return undefined(call.env);
}

napi_value releaseGraph(const Call& call) {
  toGraph(call, call[0]);
  graphsOf(call)[static_cast<size_t>(toInt(call.env, call[0]))].reset();
  return undefined(call.env);
}

}  // namespace

std::vector<Export> ncclExports();

/// What the addon looks for.
extern "C" __attribute__((visibility("default"))) void cudaExports(std::vector<Export>* all) {
  *all = {{"createStream", guarded<createStream>}, {"setStream", guarded<setStream>},   {"waitStream", guarded<waitStream>},
          {"beginCapture", guarded<beginCapture>}, {"endCapture", guarded<endCapture>}, {"replayGraph", guarded<replayGraph>},
          {"releaseGraph", guarded<releaseGraph>}};
  for (const Export& item : ncclExports()) all->push_back(item);
}
