// Who compiles and launches kernels: the CUDA half, or in tests without a GPU a stand-in on the host.
#pragma once
#include <array>
#include <string>
#include <vector>

struct KernelRunner {
  bool onHost;  // its kernels work on the host's tensors
  std::string (*compile)(const std::string& source, const std::vector<std::string>& options);
  void* (*load)(const std::string& code, const std::string& name);
  /// On the device's current stream; `parameters` are the arguments' addresses, `shared` bytes of shared memory besides the kernel's own.
  void (*launch)(void* function, const unsigned* grid, const unsigned* block, unsigned shared, void** parameters, int device);
  std::array<int, 2> (*traits)(int device);  // compute capability (90), multiprocessors
};
