// Stands in for NVRTC and the driver: kernels compiled by the host's C++ compiler, their threads run one after the other as
// coroutines. For tests of kernels where there is no GPU.
#include <dlfcn.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../native/kernels/kernel-runner.h"

namespace {

struct Dim { int x, y, z; };
struct Emulated {
  Dim *threadIdx, *blockIdx, *blockDim, *gridDim;
  void (**waitForBlock)();
  void (**waitForWarp)();
  float** exchange;
  int** turn;
};
struct Kernel {
  void (*call)(void**);
  Emulated words;
};

constexpr size_t kStack = 128 << 10;

/// A thread of the block that runs.
struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  Dim index;
  int turn = 0;
  bool isDone = false, waitsForBlock = false;
};

struct Block {
  std::vector<Thread> threads;
  ucontext_t scheduler;
  Thread* running = nullptr;
  Kernel* kernel = nullptr;
  void** parameters = nullptr;
} block;

void yield(bool forBlock) {
  block.running->waitsForBlock = forBlock;
  swapcontext(&block.running->context, &block.scheduler);
}
void enter() {
  block.kernel->call(block.parameters);
  block.running->isDone = true;
  swapcontext(&block.running->context, &block.scheduler);
}

void resume(Thread& thread) {
  block.running = &thread;
  *block.kernel->words.threadIdx = thread.index;
  *block.kernel->words.turn = &thread.turn;
  swapcontext(&block.scheduler, &thread.context);
}

/// Every thread in turn up to its next wait; one that waits for the block goes on when all others wait, too, or are done.
void runThreads() {
  for (bool isAlive = true; isAlive;) {
    isAlive = false;
    bool moved = false;
    for (Thread& thread : block.threads) {
      if (thread.isDone) continue;
      isAlive = true;
      if (thread.waitsForBlock) continue;
      resume(thread);
      moved = true;
    }
    if (isAlive && !moved)
      for (Thread& thread : block.threads) thread.waitsForBlock = false;
  }
}

void launchOnHost(void* function, const unsigned* grid, const unsigned* size, unsigned, void** parameters, int) {
  auto* kernel = static_cast<Kernel*>(function);
  const size_t count = static_cast<size_t>(size[0]) * size[1] * size[2];
  std::vector<float> exchange(2 * count);
  block.kernel = kernel;
  block.parameters = parameters;
  const Emulated& words = kernel->words;
  *words.waitForBlock = [] { yield(true); };
  *words.waitForWarp = [] { yield(false); };
  *words.exchange = exchange.data();
  *words.blockDim = {static_cast<int>(size[0]), static_cast<int>(size[1]), static_cast<int>(size[2])};
  *words.gridDim = {static_cast<int>(grid[0]), static_cast<int>(grid[1]), static_cast<int>(grid[2])};
  if (block.threads.size() < count) block.threads.resize(count);
  for (unsigned z = 0; z < grid[2]; z++)
    for (unsigned y = 0; y < grid[1]; y++)
      for (unsigned x = 0; x < grid[0]; x++) {
        *words.blockIdx = {static_cast<int>(x), static_cast<int>(y), static_cast<int>(z)};
        for (size_t i = 0; i < block.threads.size(); i++) {
          Thread& thread = block.threads[i];
          thread.isDone = i >= count;
          if (thread.isDone) continue;
          thread.waitsForBlock = false;
          thread.turn = 0;
          thread.index = {static_cast<int>(i % size[0]), static_cast<int>(i / size[0] % size[1]), static_cast<int>(i / size[0] / size[1])};
          getcontext(&thread.context);
          thread.context.uc_stack.ss_sp = thread.stack.get();
          thread.context.uc_stack.ss_size = kStack;
          thread.context.uc_link = nullptr;
          makecontext(&thread.context, enter, 0);
        }
        runThreads();
      }
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A shared library's bytes. VITOK_EMULATOR is the folder of emulator.h.
std::string compileForHost(const std::string& source, const std::vector<std::string>& options) {
  std::string draft = std::string(std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "/tmp") + "/emulated-XXXXXX";
  if (!mkdtemp(draft.data())) throw std::runtime_error("Expected a folder for temporary files.");
  std::ofstream file(draft + "/kernels.cc");
  file << read(std::string(std::getenv("VITOK_EMULATOR")) + "/emulator.h") << source;
  // Launch bounds may hold brackets, so the name is the last word before the argument list's.
  static const std::regex pattern(R"(__global__ void[^;{]*?(\w+)\(\s*const )");
  for (std::sregex_iterator match(source.begin(), source.end(), pattern), end; match != end; ++match) {
    std::string name = (*match)[1];
    file << "\nextern \"C\" __attribute__((visibility(\"default\"))) void call_" << name << "(void** p) { callKernel(" << name << ", p); }";
  }
  file.close();
  std::string command = "c++ -std=c++20 -O1 -fPIC -shared -w -o " + draft + "/kernels.so";
  for (const auto& option : options)
    if (option.rfind("-D", 0) == 0) command += " '" + option + "'";
  command += " " + draft + "/kernels.cc 2> " + draft + "/log";
  const bool isDone = std::system(command.c_str()) == 0;
  std::string result = read(draft + (isDone ? "/kernels.so" : "/log"));
  std::system(("rm -r " + draft).c_str());
  if (!isDone) throw std::runtime_error("A kernel does not compile:\n" + result.substr(0, 4000));
  return result;
}

void* loadOnHost(const std::string& code, const std::string& name) {
  std::string path = "/tmp/emulated-XXXXXX";
  int file = mkstemp(path.data());
  if (file < 0 || write(file, code.data(), code.size()) != static_cast<ssize_t>(code.size())) throw std::runtime_error("Expected room for temporary files.");
  close(file);
  void* library = dlopen(path.c_str(), RTLD_NOW);
  unlink(path.c_str());
  if (!library) throw std::runtime_error(dlerror());
  auto* kernel = new Kernel();
  kernel->call = reinterpret_cast<void (*)(void**)>(dlsym(library, ("call_" + name).c_str()));
  if (!kernel->call) throw std::runtime_error("Expected a kernel " + name + ".");
  kernel->words = reinterpret_cast<Emulated (*)()>(dlsym(library, "emulated"))();
  return kernel;
}

std::array<int, 2> hostTraits(int) { return {90, 2}; }

}  // namespace

extern "C" __attribute__((visibility("default"))) const KernelRunner* kernelRunner() {
  static const KernelRunner runner{true, compileForHost, loadOnHost, launchOnHost, hostTraits};
  return &runner;
}
