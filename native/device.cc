// Threads, devices, memory: the host's allocator that counts and refuses, and CUDA where it answers.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <dlfcn.h>
#if defined(__linux__)
#include <malloc.h>
#endif

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>

#include "engine.h"
#include "kernels/kernel-runner.h"

namespace {

std::atomic<int64_t> hostBytes{0}, hostPeak{0};

size_t usableSize(void* data) {
#if defined(__linux__)
  return malloc_usable_size(data);
#else
  (void)data;
  return 0;
#endif
}

/// Bytes the system can still give without swapping; the largest number where it does not say.
int64_t availableBytes() {
  int64_t kib = -1;
  if (FILE* file = std::fopen("/proc/meminfo", "r")) {
    char line[128];
    while (std::fgets(line, sizeof line, file))
      if (long long value; std::sscanf(line, "MemAvailable: %lld kB", &value) == 1) kib = value;
    std::fclose(file);
  }
  return kib < 0 ? INT64_MAX : kib * 1024;
}

void freeHost(void* data) {
  if (data) hostBytes -= static_cast<int64_t>(usableSize(data));
  c10::free_cpu(data);
}

/// Linux grants memory it does not have and kills the process that touches it: so a large request is compared with what is
/// free before it is asked for, and refused with an exception.
struct HostAllocator final : c10::Allocator {
  static constexpr size_t kCheckFrom = size_t{64} << 20;

  c10::DataPtr allocate(size_t size) override {
    if (size >= kCheckFrom) {
      int64_t available = availableBytes();
      TORCH_CHECK(static_cast<int64_t>(size) < available, "out of memory: ", size >> 20, " MiB asked for, ", available >> 20,
                  " MiB available on the host");
    }
    void* data = c10::alloc_cpu(size);
    if (data) {
      int64_t now = hostBytes += static_cast<int64_t>(usableSize(data));
      int64_t peak = hostPeak;
      while (now > peak && !hostPeak.compare_exchange_weak(peak, now)) {
      }
    }
    return {data, data, &freeHost, at::Device(at::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &freeHost; }
  void copy_data(void* target, const void* source, std::size_t count) const override { default_copy_data(target, source, count); }
};

}  // namespace

void installAllocator() {
  static HostAllocator allocator;  // outlives every tensor of every environment
  static std::once_flag once;
  std::call_once(once, [] {
#if defined(__linux__)
    // Keep freed blocks: a training step asks for the same large ones again, and fresh pages cost more than the arithmetic.
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
    c10::SetAllocator(c10::DeviceType::CPU, &allocator, 10);
  });
}

void loadCuda() {
  static std::once_flag once;
  std::call_once(once, [] {
#if defined(__linux__)
    if (void* driver = dlopen("libcuda.so.1", RTLD_LAZY)) {
      dlclose(driver);
      Dl_info info;
      if (!dladdr(reinterpret_cast<void*>(&c10::alloc_cpu), &info)) return;
      std::string folder = info.dli_fname;  // libc10.so: libtorch_cuda.so lies beside it
      folder.resize(folder.rfind('/') + 1);
      dlopen((folder + "libtorch_cuda.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
    }
#endif
  });
}

std::vector<Export> openCudaHalf(Engine& engine) {
  std::vector<Export> all;
  Dl_info info;
  const char* other = std::getenv("VITOK_KERNEL_RUNNER");  // a stand-in, for tests of kernels without a GPU
  if (!other && (!at::globalContext().hasCUDA() || !dladdr(reinterpret_cast<void*>(&openCudaHalf), &info))) return all;
  std::string path = other ? other : info.dli_fname;  // the addon; its CUDA half lies beside it
  if (!other) path = path.substr(0, path.rfind('/') + 1) + "vitok_cuda.so";
  void* library = dlopen(path.c_str(), RTLD_NOW);
  if (!library) return all;
  if (void* runner = dlsym(library, "kernelRunner")) engine.runner = reinterpret_cast<const KernelRunner* (*)()>(runner)();
  if (void* list = dlsym(library, "cudaExports")) reinterpret_cast<void (*)(std::vector<Export>*)>(list)(&all);
  return all;
}

static void setNumThreads(const Call& call) {
  int64_t count = toInt(call.env, call[0]);
  if (count < 1 || count > 4096) throw std::invalid_argument("Expected 1 to 4096 threads, received " + std::to_string(count) + ".");
  at::set_num_threads(static_cast<int>(count));
}

static napi_value getNumThreads(const Call& call) { return fromDouble(call.env, at::get_num_threads()); }

static int64_t cudaDevices() { return at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0; }

static napi_value deviceCount(const Call& call) { return fromDouble(call.env, static_cast<double>(cudaDevices())); }

static c10::DeviceIndex cudaIndex(const Call& call, napi_value value) {
  c10::Device device(toString(call.env, value));
  if (!device.is_cuda() || (device.has_index() && device.index() >= cudaDevices()))
    throw std::invalid_argument("Expected a CUDA device of this machine, received " + device.str() + ".");
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  return device.has_index() ? device.index() : 0;
}

static void synchronize(const Call& call) {
  at::detail::getCUDAHooks().deviceSynchronize(cudaIndex(call, call[0]));
}

/// memory(device) -> { allocatedBytes, peakBytes, availableBytes } ; the host's or a GPU's tensors
static napi_value memory(const Call& call) {
  napi_value result = newObject(call.env);
  auto set = [&](const char* name, int64_t value) { setProperty(call.env, result, name, fromDouble(call.env, static_cast<double>(value))); };
  if (c10::Device(toString(call.env, call[0])).is_cpu()) {
    set("allocatedBytes", hostBytes);
    set("peakBytes", hostPeak);
    set("availableBytes", availableBytes());
    return result;
  }
  c10::DeviceIndex index = cudaIndex(call, call[0]);
  auto* allocator = at::getDeviceAllocator(at::kCUDA);
  auto stats = allocator->getDeviceStats(index);
  set("allocatedBytes", stats.allocated_bytes[0].current);
  set("peakBytes", stats.allocated_bytes[0].peak);
  set("availableBytes", static_cast<int64_t>(allocator->getMemoryInfo(index).first));
  return result;
}

static void resetPeakMemory(const Call& call) {
  if (c10::Device(toString(call.env, call[0])).is_cpu()) hostPeak = hostBytes.load();
  else at::getDeviceAllocator(at::kCUDA)->resetPeakStats(cudaIndex(call, call[0]));
}

/// emptyCache(device): gives freed blocks back: a GPU's for a graph's own pool to take, the host's to the system.
static void emptyCache(const Call& call) {
  if (!c10::Device(toString(call.env, call[0])).is_cpu()) {
    cudaIndex(call, call[0]);
    at::getDeviceAllocator(at::kCUDA)->emptyCache();
    return;
  }
#if defined(__linux__)
  malloc_trim(0);  // kept otherwise, see installAllocator()
#endif
}

/// adjustMemory(bytes): tells the garbage collector what lies behind the handles it may collect.
static void adjustMemory(const Call& call) {
  int64_t total;
  napi_adjust_external_memory(call.env, toInt(call.env, call[0]), &total);
}

/// setFlag(name, on): the engine's global switches.
static void setFlag(const Call& call) {
  std::string name = toString(call.env, call[0]);
  bool on = toBool(call.env, call[1]);
  auto& context = at::globalContext();
  if (name == "tf32") {
    context.setAllowTF32CuBLAS(on);
    context.setAllowTF32CuDNN(on);
  } else if (name == "cudnnBenchmark") context.setBenchmarkCuDNN(on);
  else if (name == "deterministic") context.setDeterministicAlgorithms(on, true);
  else if (name == "cudnnAttention") context.setSDPUseCuDNN(on);
  else if (name == "flashAttention") context.setSDPUseFlash(on);
  else if (name == "efficientAttention") context.setSDPUseMemEfficient(on);
  else throw std::invalid_argument("Unknown flag " + name + ".");
}

std::vector<Export> deviceExports() {
  return {{"setNumThreads", guarded<setNumThreads>}, {"getNumThreads", guarded<getNumThreads>},
          {"deviceCount", guarded<deviceCount>},     {"synchronize", guarded<synchronize>},
          {"memory", guarded<memory>},               {"resetPeakMemory", guarded<resetPeakMemory>},
          {"adjustMemory", guarded<adjustMemory>},   {"setFlag", guarded<setFlag>},
          {"emptyCache", guarded<emptyCache>}};
}
