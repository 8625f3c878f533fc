// Words of compute capability 9.0 (sm_90a): products of 64 rows by four warps together (wgmma), from bfloat16 rows of 64 in
// shared memory to float32; barriers of some of a block's warps; registers that some warps leave to others.
typedef unsigned Operand[4];      // 16 columns of a warp's 16 rows, lane by lane: see wgmma of the PTX manual
typedef float Sums[8][4];         // 64 columns of a warp's 16 rows, eight and eight
typedef unsigned long long Tile;  // where rows begin, as the tensor cores are told: the manual's matrix descriptor

#ifndef EMULATED
#define SHARED_MEMORY(name) extern __shared__ __align__(1024) unsigned char name[]
__device__ __forceinline__ unsigned sharedAddress(const void* from) {
  unsigned address;
  asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(address) : "l"(from));
  return address;
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
               ", %32, %33, adds, 1, 1, 0, 0; }" : ALL(sums) : "l"(a), "l"(b), "r"(adds));
}
/// [64, 16] of registers times [16, 64], added.
__device__ __forceinline__ void multiplyStep(Sums& sums, const Operand& a, Tile b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " NAMES ", {%32, %33, %34, %35}, %36, 1, 1, 1, 1;"
               : ALL(sums) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
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
__device__ __forceinline__ void barrierSync(int barrier, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory"); }
__device__ __forceinline__ void barrierArrive(int barrier, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory"); }
template <int count>
__device__ __forceinline__ void keepRegisters() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count)); }
template <int count>
__device__ __forceinline__ void takeRegisters() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count)); }
#endif

/// Eight columns of a row. A row has 128 bytes, and its groups of 16 lie as the tensor cores want them, in eight different banks
/// for eight rows. Rows begin at a multiple of 1,024 bytes.
__device__ __forceinline__ Element* place(Element* rows, int row, int group) { return rows + row * 64 + (group ^ row % 8) * 8; }
/// Rows from `row` on, a multiple of eight.
__device__ __forceinline__ Tile tileAt(const Element* rows, int row) {
  constexpr Tile swizzled = 1ull << 62, eightRows = 1024 / 16, unused = 1;
  return swizzled | eightRows << 32 | unused << 16 | sharedAddress(rows + row * 64) / 16;
}
/// [64, 64] times [64, 64] transposed.
__device__ __forceinline__ void multiplyRows(Sums& sums, Tile a, Tile b) {
#pragma unroll
  for (int c = 0; c < 4; c++) multiplyStep(sums, a + 2 * c, b + 2 * c, c > 0);
}
/// [64, 64] of registers times [64, 64], added.
__device__ __forceinline__ void multiplyAdd(Sums& sums, const Operand (&a)[4], Tile b) {
#pragma unroll
  for (int c = 0; c < 4; c++) multiplyStep(sums, a[c], b + 128 * c);
}
__device__ __forceinline__ void toOperands(Operand (&x)[4], const Sums& sums) {
#pragma unroll
  for (int c = 0; c < 4; c++)
#pragma unroll
    for (int i = 0; i < 4; i++) x[c][i] = packPair(sums[2 * c + i / 2][i % 2 * 2], sums[2 * c + i / 2][i % 2 * 2 + 1]);
}
