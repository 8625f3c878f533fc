// Averages gradients over a process group while the backward pass still runs. Leaves are joined in flat buckets; a hook at each leaf
// counts, and a bucket whose leaves all have their gradient is copied together and sent. No JavaScript takes part.
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>

#include <mutex>
#include <stdexcept>

#include "engine.h"

namespace {

struct Bucket {
  at::Tensor flat;
  std::vector<at::Tensor> leaves, views;  // views: each leaf's part of flat, in its shape
  std::vector<int64_t> fired, expected;   // how often each leaf's gradient grew in this step, and in the one before
  c10::intrusive_ptr<c10d::Work> work;
  bool isSent = false, isStale = false;   // stale: a gradient grew again after the bucket was sent

  bool isReady() const {
    for (size_t i = 0; i < leaves.size(); i++)
      if (expected[i] < 0 || fired[i] < expected[i]) return false;
    return true;
  }
};

/// Every process makes the same one. Buckets are sent in their order, whatever the order of the hooks, so that the processes'
/// collectives match. How often a leaf's gradient grows in a step is learnt from the step before: a backward pass may come in
/// several segments, and a wrong guess costs a second sending, never a wrong sum.
struct Reducer {
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  std::vector<Bucket> buckets;
  bool isScattered = false, isArmed = false, overlaps = true;
  size_t next = 0;
  std::mutex mutex;  // on a GPU the hooks run on the thread of its backward pass

  /// NCCL averages as it sums; Gloo cannot, so that the parts are divided before.
  void send(Bucket& bucket) {
    at::NoGradGuard noGrad;
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& leaf : bucket.leaves) gradients.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
    at::_foreach_copy_(bucket.views, gradients);
    bool averages = bucket.flat.is_cuda();
    if (!averages) bucket.flat.div_(group->getSize());
    c10d::ReduceOp op = averages ? c10d::ReduceOp::AVG : c10d::ReduceOp::SUM;
    if (isScattered) {
      int64_t share = bucket.flat.numel() / group->getSize();
      at::Tensor own = bucket.flat.narrow(0, group->getRank() * share, share);
      bucket.work = group->_reduce_scatter_base(own, bucket.flat, {op});
    } else {
      std::vector<at::Tensor> tensors{bucket.flat};
      bucket.work = group->allreduce(tensors, {op});
    }
    bucket.isSent = true;
  }

  void arm() {
    std::lock_guard<std::mutex> lock(mutex);
    for (const Bucket& bucket : buckets)
      for (size_t i = 0; i < bucket.leaves.size(); i++)
        if (const at::Tensor& gradient = bucket.leaves[i].grad(); gradient.defined() && gradient.is_alias_of(bucket.flat))
          throw std::invalid_argument("Expected gradients that were cleared since the last sum.");
    isArmed = true;
  }

  void onGradient(size_t index, size_t place) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!isArmed) return;
    Bucket& bucket = buckets[index];
    bucket.fired[place]++;
    bucket.isStale |= bucket.isSent;
    while (overlaps && next < buckets.size() && buckets[next].isReady()) send(buckets[next++]);
  }

  /// Sends what the hooks did not, waits, and lets the gradients be the sums: views of the buckets, or their own share of them.
  void finish() {
    std::lock_guard<std::mutex> lock(mutex);
    bool hasCounted = isArmed;
    isArmed = false;
    while (next < buckets.size()) send(buckets[next++]);
    for (Bucket& bucket : buckets) {
      bucket.work->wait();
      if (!bucket.isStale) continue;
      send(bucket);
      bucket.work->wait();
    }
    for (Bucket& bucket : buckets) {
      for (size_t i = 0; i < bucket.leaves.size(); i++)
        if (isScattered) bucket.leaves[i].mutable_grad().reset();
        else bucket.leaves[i].mutable_grad() = bucket.views[i];  // also where only other processes had one
      if (hasCounted) bucket.expected = bucket.fired;
      bucket.fired.assign(bucket.leaves.size(), 0);
      bucket.work.reset();
      bucket.isSent = bucket.isStale = false;
    }
    next = 0;
  }
};

struct Hook final : torch::autograd::PostAccumulateGradHook {
  std::weak_ptr<Reducer> reducer;
  size_t bucket, place;
  Hook(std::weak_ptr<Reducer> reducer, size_t bucket, size_t place) : reducer(std::move(reducer)), bucket(bucket), place(place) {}
  void operator()(const torch::autograd::Variable&) override {
    if (auto held = reducer.lock()) held->onGradient(bucket, place);
  }
};

}  // namespace

static std::shared_ptr<Reducer> reducerOf(const Call& call) {
  int64_t handle = toInt(call.env, call[0]);
  auto& all = call.engine->reducers;
  if (handle <= 0 || handle >= static_cast<int64_t>(all.size()) || !all[handle]) throw std::invalid_argument("Expected a live reducer.");
  return std::static_pointer_cast<Reducer>(all[handle]);
}

/// createReducer(group, buckets: { flat, leaves }[], { isScattered, overlaps, alignment }) -> handle. A flat tensor holds its
/// leaves one after another, each from a multiple of `alignment` elements on, and may be longer.
static napi_value createReducer(const Call& call) {
  auto reducer = std::make_shared<Reducer>();
  reducer->group = c10d::resolve_process_group(toString(call.env, call[0]));
  reducer->isScattered = toBool(call.env, property(call.env, call[2], "isScattered"));
  reducer->overlaps = toBool(call.env, property(call.env, call[2], "overlaps"));
  int64_t alignment = toInt(call.env, property(call.env, call[2], "alignment"));
  uint32_t count = 0;
  require(napi_get_array_length(call.env, call[1], &count));
  for (uint32_t index = 0; index < count; index++) {
    napi_value item;
    require(napi_get_element(call.env, call[1], index, &item));
    Bucket bucket;
    bucket.flat = toTensor(call, property(call.env, item, "flat"));
    bucket.leaves = toTensors(call, property(call.env, item, "leaves"));
    int64_t offset = 0;
    for (const at::Tensor& leaf : bucket.leaves) {
      if (!leaf.is_leaf() || !leaf.requires_grad() || leaf.dtype() != bucket.flat.dtype() || leaf.device() != bucket.flat.device())
        throw std::invalid_argument("Expected leaves that learn, of the bucket's dtype and device.");
      bucket.views.push_back(bucket.flat.narrow(0, offset, leaf.numel()).view(leaf.sizes()));
      offset += (leaf.numel() + alignment - 1) / alignment * alignment;
    }
    if (bucket.flat.numel() % reducer->group->getSize()) throw std::invalid_argument("Expected a bucket that all processes can share.");
    bucket.fired.assign(bucket.leaves.size(), 0);
    bucket.expected.assign(bucket.leaves.size(), -1);
    reducer->buckets.push_back(std::move(bucket));
  }
  for (size_t index = 0; index < count; index++)
    for (size_t place = 0; place < reducer->buckets[index].leaves.size(); place++)
      torch::autograd::impl::set_post_acc_grad_hooks(reducer->buckets[index].leaves[place], std::make_unique<Hook>(reducer, index, place));
  call.engine->reducers.push_back(reducer);
  return fromDouble(call.env, static_cast<double>(call.engine->reducers.size() - 1));
}

/// armReducer(handle): the backward passes until finishReducer() complete the step's gradients.
static void armReducer(const Call& call) {
  reducerOf(call)->arm();
}

static void finishReducer(const Call& call) {
  reducerOf(call)->finish();
}

static void releaseReducer(const Call& call) {
  auto reducer = reducerOf(call);
  for (Bucket& bucket : reducer->buckets)
    for (at::Tensor& leaf : bucket.leaves) torch::autograd::impl::set_post_acc_grad_hooks(leaf, nullptr);
  call.engine->reducers[toInt(call.env, call[0])].reset();
}

std::vector<Export> reducerExports() {
  return {{"createReducer", guarded<createReducer>},
          {"armReducer", guarded<armReducer>},
          {"finishReducer", guarded<finishReducer>},
          {"releaseReducer", guarded<releaseReducer>}};
}
