// The runner of kernels on a GPU: NVRTC compiles, the driver loads and launches. Both are opened by name: the driver is there
// when this library is, and NVRTC comes with libtorch.
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <stdexcept>

#include "../kernels/kernel-runner.h"

namespace {

using Program = struct _nvrtcProgram*;

void* symbol(void* library, const char* name) {
  void* found = library ? dlsym(library, name) : nullptr;
  if (!found) throw std::runtime_error(std::string("Expected ") + name + " in the CUDA libraries, found none. Run: npx vitok doctor");
  return found;
}

/// Libtorch's own stub: it knows where its NVRTC lies, and drags the driver in.
void* compilerLibrary() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&c10::cuda::getCurrentCUDAStream), &info)) return nullptr;
  std::string folder = info.dli_fname;
  folder.resize(folder.rfind('/') + 1);
  return dlopen((folder + "libcaffe2_nvrtc.so").c_str(), RTLD_NOW);
}

/// NVRTC opens its own second half by name, where the loader may not look: it lies beside the first.
void openBuiltins(void* library) {
  auto* version = reinterpret_cast<int (*)(int*, int*)>(symbol(library, "nvrtcVersion"));
  Dl_info info;
  int major = 0, minor = 0;
  if (version(&major, &minor) != 0 || !dladdr(reinterpret_cast<void*>(version), &info)) return;
  std::string folder = info.dli_fname;
  folder.resize(folder.rfind('/') + 1);
  dlopen((folder + "libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor)).c_str(), RTLD_NOW | RTLD_GLOBAL);
}

template <typename Signature>
Signature* compiler(const char* name) {
  return reinterpret_cast<Signature*>(symbol(compilerLibrary(), name));
}

template <typename Signature>
Signature* driver(const char* name) {
  return reinterpret_cast<Signature*>(symbol(dlopen("libcuda.so.1", RTLD_NOW), name));
}

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  const char* text = nullptr;
  driver<CUresult(CUresult, const char**)>("cuGetErrorString")(result, &text);
  throw std::runtime_error(std::string(what) + ": " + (text ? text : "unknown CUDA error"));
}

/// Machine code of the architecture that the options name; the compiler's log is the error.
std::string compile(const std::string& source, const std::vector<std::string>& options) {
  std::vector<const char*> pointers;
  for (const auto& option : options) pointers.push_back(option.c_str());
  openBuiltins(compilerLibrary());
  Program program = nullptr;
  int status = compiler<int(Program*, const char*, const char*, int, const char* const*, const char* const*)>("nvrtcCreateProgram")(
      &program, source.c_str(), "kernels.cu", 0, nullptr, nullptr);
  if (status != 0) throw std::runtime_error("NVRTC could not take the source.");
  status = compiler<int(Program, int, const char* const*)>("nvrtcCompileProgram")(program, static_cast<int>(pointers.size()), pointers.data());
  auto destroy = compiler<int(Program*)>("nvrtcDestroyProgram");
  size_t size = 0;
  if (status != 0) {
    compiler<int(Program, size_t*)>("nvrtcGetProgramLogSize")(program, &size);
    std::string log(size, '\0');
    compiler<int(Program, char*)>("nvrtcGetProgramLog")(program, log.data());
    destroy(&program);
    throw std::runtime_error("A kernel does not compile:\n" + log);
  }
  compiler<int(Program, size_t*)>("nvrtcGetCUBINSize")(program, &size);
  std::string code(size, '\0');
  status = compiler<int(Program, char*)>("nvrtcGetCUBIN")(program, code.data());
  destroy(&program);
  if (status != 0 || size == 0) throw std::runtime_error("NVRTC left no machine code. Is the architecture a real one (sm_90)?");
  return code;
}

/// Valid in every context of the process.
void* load(const std::string& code, const std::string& name) {
  CUlibrary library;
  check(driver<decltype(cuLibraryLoadData)>("cuLibraryLoadData")(&library, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0), "loading a kernel");
  CUkernel kernel;
  check(driver<decltype(cuLibraryGetKernel)>("cuLibraryGetKernel")(&kernel, library, name.c_str()), "finding a kernel");
  return kernel;
}

void launch(void* function, const unsigned* grid, const unsigned* block, unsigned shared, void** parameters, int device) {
  static const auto run = driver<decltype(cuLaunchKernel)>("cuLaunchKernel");
  c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
  if (shared > 48 << 10)  // more has to be asked for
    check(driver<decltype(cuKernelSetAttribute)>("cuKernelSetAttribute")(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(shared),
                                                                         static_cast<CUkernel>(function), device),
          "shared memory of a kernel");
  auto stream = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream();
  check(run(reinterpret_cast<CUfunction>(function), grid[0], grid[1], grid[2], block[0], block[1], block[2], shared, stream, parameters, nullptr),
        "launching a kernel");
}

std::array<int, 2> traits(int device) {
  int major = 0, minor = 0, count = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return {major * 10 + minor, count};
}

}  // namespace

/// What the addon looks for.
extern "C" __attribute__((visibility("default"))) const KernelRunner* kernelRunner() {
  static const KernelRunner runner{false, compile, load, launch, traits};
  return &runner;
}
