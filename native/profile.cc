// Kineto, libtorch's own profiler: every kernel of a stretch of time, as a Chrome trace in a file.
#include <torch/csrc/autograd/profiler_kineto.h>

#include "engine.h"

namespace profiler = torch::autograd::profiler;

/// startProfile(): the host's operators, and a GPU's kernels where there is one
static void startProfile(const Call& call) {
  std::set<torch::profiler::impl::ActivityType> activities{torch::profiler::impl::ActivityType::CPU};
  if (at::globalContext().hasCUDA()) activities.insert(torch::profiler::impl::ActivityType::CUDA);
  profiler::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities);
}

/// stopProfile(path): writes the trace
static void stopProfile(const Call& call) {
  profiler::disableProfiler()->save(toString(call.env, call[0]));
}

std::vector<Export> profileExports() { return {{"startProfile", guarded<startProfile>}, {"stopProfile", guarded<stopProfile>}}; }
