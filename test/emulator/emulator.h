// CUDA's language on the host, so that a kernel runs without a GPU: its words, its vectors, its warps. Not fast, and blind
// to races between blocks, memory order and alignment. Put before a kernel's source by emulator.cc.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <deque>
#include <vector>

#define EMULATED 1
#define __device__
#define __global__
#define __forceinline__ inline
#define __restrict__
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static

struct uint4 { unsigned x, y, z, w; };
struct int2 { int x, y; };
struct uint2 { unsigned x, y; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
struct Dim { int x, y, z; };
static Dim threadIdx, blockIdx, blockDim, gridDim;

inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __fdividef(float x, float y) { return x / y; }
using std::isfinite;
using std::max;
using std::min;

inline unsigned toBits16(float x) {  // to the nearest, ties to even
  unsigned bits = __float_as_uint(x);
  if (x != x) return 0x7fc0u;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
inline unsigned packPair(float low, float high) { return toBits16(low) | toBits16(high) << 16; }

inline unsigned toQuarter(float x) {  // e4m3: to the nearest, ties to even, at most 448
  const unsigned sign = signbit(x) ? 0x80 : 0;
  if (x != x) return sign | 0x7f;
  const float size = min(fabsf(x), 448.0f);
  int exponent;
  frexpf(size, &exponent);
  exponent = max(exponent - 1, -6);  // below 2^-6 the steps stay what they are there
  return sign | (exponent + 6) * 8 + static_cast<unsigned>(nearbyintf(ldexpf(size, 3 - exponent)));
}
inline unsigned quarterPair(float low, float high) { return toQuarter(low) | toQuarter(high) << 8; }

/// Waits for all threads of the block, or of the warp.
static void (*waitForBlock)();
static void (*waitForWarp)();
static float* exchange;  // of the block: a number a thread, twice
static int* turn;        // of the running thread
inline void __syncthreads() { waitForBlock(); }
inline int threadNumber() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
inline float __shfl_xor_sync(unsigned, float x, int offset) {
  const int self = threadNumber(), half = (*turn)++ % 2;
  exchange[2 * self + half] = x;
  waitForWarp();
  return exchange[2 * (self ^ offset) + half];
}
inline unsigned __shfl_xor_sync(unsigned all, unsigned x, int offset) { return __float_as_uint(__shfl_xor_sync(all, __uint_as_float(x), offset)); }

// The words of native/kernels/warpgroup.h: what each lane holds is PTX's layout. Products are done when they are waited for.
alignas(1024) static unsigned char sharedMemory[256 << 10];
#define SHARED_MEMORY(name) unsigned char* name = sharedMemory
inline void __syncwarp() { waitForWarp(); }
inline float power2(float x) { return exp2f(x); }
inline unsigned sharedAddress(const void* from) { return static_cast<unsigned>(static_cast<const unsigned char*>(from) - sharedMemory); }
static uint64_t held[2][1024][4];
/// What every lane of the warp gives, seen by all.
template <size_t count>
inline const uint64_t (*gather(const uint64_t (&mine)[count]))[4] {
  const int self = threadNumber(), half = (*turn)++ % 2;
  for (size_t i = 0; i < count; i++) held[half][self][i] = mine[i];
  waitForWarp();
  return &held[half][self / 32 * 32];
}
template <typename From>
inline void loadMatrices(unsigned (&x)[4], const From* from) {
  const uint64_t mine[1] = {reinterpret_cast<uint64_t>(from)};
  const auto* all = gather(mine);
  const int lane = threadNumber() % 32;
  for (int i = 0; i < 4; i++) memcpy(&x[i], reinterpret_cast<const unsigned*>(all[8 * i + lane / 4][0]) + lane % 4, 4);
}
inline unsigned long long descriptorOf(unsigned tile);
/// A number of swizzled rows of 128 bytes that a matrix descriptor tells of.
inline float elementAt(uint64_t tile, int row, int column) {
  unsigned address = static_cast<unsigned>(tile & 0x3fff) * 16 + row / 8 * static_cast<unsigned>(tile >> 32 & 0x3fff) * 16 + row % 8 * 128 + column * 2;
  address ^= (address >> 7 & 7) << 4;
  unsigned short bits;
  memcpy(&bits, sharedMemory + address, 2);
  return tile >> 62 == 1 ? __uint_as_float(static_cast<unsigned>(bits) << 16) : NAN;
}
struct Product {
  float (*sums)[4];
  bool isHeld, isTransposed, adds;
  uint64_t held[4], a, b;
};
inline void multiply(const Product& product) {
  const auto* all = gather(product.held);
  const int lane = threadNumber() % 32;
  for (int t = 0; t < 8; t++)
    for (int i = 0; i < 4; i++) {
      const int row = threadNumber() / 32 % 4 * 16 + lane / 4 + i / 2 * 8, column = 8 * t + lane % 4 * 2 + i % 2;
      float sum = product.adds ? product.sums[t][i] : 0.0f;
      for (int k = 0; k < 16; k++) {
        const unsigned word = static_cast<unsigned>(all[lane / 4 * 4 + k % 8 / 2][i / 2 + k / 8 * 2]);
        const float left = product.isHeld ? __uint_as_float(k % 2 ? word & 0xffff0000u : word << 16) : elementAt(product.a, row, k);
        sum += left * (product.isTransposed ? elementAt(product.b, column, k) : elementAt(product.b, k, column));
      }
      product.sums[t][i] = sum;
    }
}
static std::deque<std::vector<Product>> groups[1024];  // of each thread, those that it has not waited for
static std::vector<Product> current[1024];
inline void multiplyStep(float (&sums)[8][4], unsigned a, unsigned b, int adds) {
  current[threadNumber()].push_back({sums, false, true, adds != 0, {}, descriptorOf(a), descriptorOf(b)});
}
template <bool isTransposed>
inline void multiplyStep(float (&sums)[8][4], const unsigned (&a)[4], unsigned b, int adds) {
  current[threadNumber()].push_back({sums, true, isTransposed, adds != 0, {a[0], a[1], a[2], a[3]}, 0, descriptorOf(b)});
}
inline void begin() {}
inline void commit() { groups[threadNumber()].push_back(std::move(current[threadNumber()])), current[threadNumber()].clear(); }
template <int left>
inline void wait() {
  auto& mine = groups[threadNumber()];
  for (; mine.size() > left; mine.pop_front())
    for (const Product& product : mine.front()) multiply(product);
}
inline void settle(float (&)[8][4]) {}
inline void showStores() {}
template <int count> inline void keepRegisters() {}
template <int count> inline void takeRegisters() {}
static int arrived[16], rounds[16];
inline void syncGroup(int barrier) {
  const int round = rounds[barrier];
  if (++arrived[barrier] == 128) arrived[barrier] = 0, rounds[barrier]++;
  while (rounds[barrier] == round) waitForWarp();
}
/// A gate: threads, those that are missing, rounds.
inline void initGate(unsigned long long* gate, int threads) { *gate = static_cast<uint64_t>(threads) | static_cast<uint64_t>(threads) << 16; }
inline void arriveAt(unsigned long long* gate) {
  *gate -= 1 << 16;
  if ((*gate >> 16 & 0xffff) == 0) *gate += (*gate & 0xffff) << 16, *gate += 1ull << 32;
}
inline bool isOpen(unsigned long long* gate, int round) {
  const bool isOpen = (*gate >> 32) % 2 != round % 2;
  if (!isOpen) waitForWarp();
  return isOpen;
}

// How the emulator calls a kernel whose arguments it does not know.
template <typename... Arguments, size_t... indices>
inline void callWith(void (*kernel)(Arguments...), void** parameters, std::index_sequence<indices...>) {
  kernel(*static_cast<std::remove_cv_t<Arguments>*>(parameters[indices])...);
}
template <typename... Arguments>
inline void callKernel(void (*kernel)(Arguments...), void** parameters) {
  callWith(kernel, parameters, std::index_sequence_for<Arguments...>{});
}

struct Emulated {
  Dim *threadIdx, *blockIdx, *blockDim, *gridDim;
  void (**waitForBlock)();
  void (**waitForWarp)();
  float** exchange;
  int** turn;
};
extern "C" inline __attribute__((used, visibility("default"))) Emulated emulated() {
  return {&threadIdx, &blockIdx, &blockDim, &gridDim, &waitForBlock, &waitForWarp, &exchange, &turn};
}
