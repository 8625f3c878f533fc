// NCCL for a process group's tensors on a GPU, beside Gloo for those on the host. Built where NCCL's headers are.
#include "../engine.h"

#if __has_include(<nccl.h>)
#define USE_C10D_NCCL
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

/// addNccl(group, device, timeoutMs): from here on the group's collectives of tensors on this process's GPU go through NCCL.
static void addNccl(const Call& call) {
  c10::Device device(toString(call.env, call[1]));
  c10::cuda::set_device(device.index());
  auto group = c10d::resolve_process_group(toString(call.env, call[0]));
  auto options = c10d::ProcessGroupNCCL::Options::create(true);  // urgent: where both wait, its blocks go before those of the backward pass
  options->timeout = std::chrono::milliseconds(toInt(call.env, call[2]));
  auto store = c10::make_intrusive<c10d::PrefixStore>("nccl", group->getStore());
  auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, group->getRank(), group->getSize(), options);
  group->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, c10::intrusive_ptr<c10d::Backend>(nccl));
  nccl->eagerConnectSingleDevice(device);
}

std::vector<Export> ncclExports() { return {{"addNccl", guarded<addNccl>}}; }
#else
std::vector<Export> ncclExports() { return {}; }
#endif
