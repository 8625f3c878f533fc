// Words of compute capability 9.0 (sm_90a): products of 64 rows by four warps together (wgmma), from bfloat16 rows of 64 in
// shared memory to float32; gates between some of a block's warps; registers that some warps leave to others.
typedef unsigned Operand[4];      // 16 columns of a warp's 16 rows, lane by lane: see wgmma of the PTX manual
typedef float Sums[8][4];         // 64 columns of a warp's 16 rows, eight and eight
typedef unsigned long long Gate;  // in shared memory: opens each time that its number of threads has arrived
typedef unsigned Tile;            // where rows begin: the changing half of the manual's matrix descriptor

/// Rows of 128 bytes, swizzled, eight of them 1,024 bytes from the next eight.
__device__ __forceinline__ unsigned long long descriptorOf(Tile tile) {
  constexpr unsigned long long swizzled = 1ull << 62, eightRows = 1024 / 16;
  return swizzled | eightRows << 32 | tile;
}

#ifndef EMULATED
#define SHARED_MEMORY(name) extern __shared__ __align__(1024) unsigned char name[]
__device__ __forceinline__ unsigned sharedAddress(const void* from) { return static_cast<unsigned>(__cvta_generic_to_shared(from)); }
/// Four 8 x 8 matrices; lane l tells row l % 8 of matrix l / 8.
__device__ __forceinline__ void loadMatrices(Operand& x, const Element* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(sharedAddress(from)) : "memory");
}
__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#define FOUR(x) "+f"(x[0]), "+f"(x[1]), "+f"(x[2]), "+f"(x[3])
#define ALL(x) FOUR(x[0]), FOUR(x[1]), FOUR(x[2]), FOUR(x[3]), FOUR(x[4]), FOUR(x[5]), FOUR(x[6]), FOUR(x[7])
#define NAMES                                                                                                               \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, " \
  "%26, %27, %28, %29, %30, %31}"
/// [64, 16] times [64, 16] transposed.
__device__ __forceinline__ void multiplyStep(Sums& sums, Tile a, Tile b, int adds) {
  asm volatile("{ .reg .pred adds; setp.ne.b32 adds, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " NAMES
               ", %32, %33, adds, 1, 1, 0, 0; }" : ALL(sums) : "l"(descriptorOf(a)), "l"(descriptorOf(b)), "r"(adds));
}
/// [64, 16] of registers times [16, 64], or [64, 16] transposed.
template <bool isTransposed>
__device__ __forceinline__ void multiplyStep(Sums& sums, const Operand& a, Tile b, int adds) {
  asm volatile("{ .reg .pred adds; setp.ne.b32 adds, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " NAMES
               ", {%32, %33, %34, %35}, %36, adds, 1, 1, %38; }"
               : ALL(sums) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptorOf(b)), "r"(adds), "n"(isTransposed ? 0 : 1));
}
/// Before products whose registers were written otherwise.
__device__ __forceinline__ void begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Ends a group of products.
__device__ __forceinline__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Waits for all groups but the last `left`.
template <int left>
__device__ __forceinline__ void wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory"); }
/// After `wait`: the compiler reads these no earlier.
__device__ __forceinline__ void settle(Sums& sums) { asm volatile("" : ALL(sums)::"memory"); }

/// What the thread stored in shared memory is seen by products that begin after the next barrier.
__device__ __forceinline__ void showStores() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
/// Waits for the other warps of the group; barrier: 1 to 15, the group's own.
__device__ __forceinline__ void syncGroup(int barrier) { asm volatile("bar.sync %0, 128;" ::"r"(barrier) : "memory"); }
__device__ __forceinline__ void initGate(Gate* gate, int threads) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(gate)), "r"(threads) : "memory");
}
__device__ __forceinline__ void arriveAt(Gate* gate) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(gate)) : "memory");
}
__device__ __forceinline__ bool isOpen(Gate* gate, int round) {
  int isOpen;
  asm volatile("{ .reg .pred open; mbarrier.try_wait.parity.shared::cta.b64 open, [%1], %2; selp.b32 %0, 1, 0, open; }"
               : "=r"(isOpen) : "r"(sharedAddress(gate)), "r"(round % 2) : "memory");
  return isOpen;
}
template <int count>
__device__ __forceinline__ void keepRegisters() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count)); }
template <int count>
__device__ __forceinline__ void takeRegisters() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count)); }
#endif

/// Waits until a gate has opened for the round-th time, from 0; nobody may be more than a round behind.
__device__ __forceinline__ void passThrough(Gate* gate, int round) {
  while (!isOpen(gate, round)) {
  }
  __syncwarp();
}

/// Eight columns of a row. A row has 128 bytes, and its groups of 16 lie as the tensor cores want them, in eight different banks
/// for eight rows. Rows begin at a multiple of 1,024 bytes.
__device__ __forceinline__ Element* place(Element* rows, int row, int group) { return rows + row * 64 + (group ^ row % 8) * 8; }
/// Rows from `row` on, a multiple of eight.
__device__ __forceinline__ Tile tileAt(const Element* rows, int row) {
  constexpr unsigned unused = 1;
  return unused << 16 | (sharedAddress(rows) / 16 + row * 8);
}
/// [64, 64] times [64, 64] transposed.
__device__ __forceinline__ void multiplyRows(Sums& sums, Tile a, Tile b) {
#pragma unroll
  for (int c = 0; c < 4; c++) multiplyStep(sums, a + 2 * c, b + 2 * c, c > 0);
}
/// The same, [64, 64] of registers.
__device__ __forceinline__ void multiplyRows(Sums& sums, const Operand (&a)[4], Tile b) {
#pragma unroll
  for (int c = 0; c < 4; c++) multiplyStep<true>(sums, a[c], b + 2 * c, c > 0);
}
/// [64, 64] of registers times [64, 64], added.
__device__ __forceinline__ void multiplyAdd(Sums& sums, const Operand (&a)[4], Tile b) {
#pragma unroll
  for (int c = 0; c < 4; c++) multiplyStep<false>(sums, a[c], b + 128 * c, 1);
}
/// A warp's 16 rows from `row` on.
__device__ __forceinline__ void loadOperands(Operand (&x)[4], Element* rows, int row, int lane) {
#pragma unroll
  for (int c = 0; c < 4; c++) loadMatrices(x[c], place(rows, row + lane % 16, 2 * c + lane / 16));
}
__device__ __forceinline__ void toOperands(Operand (&x)[4], const Sums& sums) {
#pragma unroll
  for (int c = 0; c < 4; c++)
#pragma unroll
    for (int i = 0; i < 4; i++) x[c][i] = packPair(sums[2 * c + i / 2][i % 2 * 2], sums[2 * c + i / 2][i % 2 * 2 + 1]);
}
