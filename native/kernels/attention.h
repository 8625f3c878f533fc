// What attention.cu and attention-backward.cu share: products of 16 x 8 x 16 by the tensor cores, bfloat16 to float32, and a
// head's rows in shared memory: [q | k | v] of H heads of W columns, [B, N, 3, H, W], the bias added and pairs (c, c + W/2) of
// q and k turned by the angle of the row's place. W is 32 or 64.
#define HALF (W / 2)
#define COLUMNS (H * W)
#define STRIDE (W + 8)                // a row in shared memory: eight of them begin in eight different banks
#define KEYS 64                       // that are looked at together
#define ROWS ((N + KEYS - 1) / KEYS * KEYS)  // in shared memory; those after N are zeros
#define SCORES (KEYS + 8)             // a row of scores in shared memory
#define LEAST -1e30f
#define LOG2E 1.4426950408889634f

/// As an operand of a product, lane by lane: see mma.m16n8k16 of the PTX manual.
typedef unsigned Operand[4];
typedef float Sum[4];

#ifndef EMULATED
#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]
__device__ __forceinline__ unsigned sharedAddress(const Element* from) {
  unsigned address;
  asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(address) : "l"(from));
  return address;
}
/// Four 8 x 8 matrices; lane l tells row l % 8 of matrix l / 8.
__device__ __forceinline__ void loadMatrices(Operand& x, const Element* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(sharedAddress(from)) : "memory");
}
__device__ __forceinline__ void loadTransposed(Operand& x, const Element* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(sharedAddress(from)) : "memory");
}
__device__ __forceinline__ void multiplyAdd(Sum& c, const Operand& a, unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#endif

/// Where lane l reads: 16 rows of 16 columns as a left operand, or transposed as a right one.
__device__ __forceinline__ const Element* tall(const Element* rows, int row, int column, int lane, int stride = STRIDE) {
  return rows + (row + lane % 16) * stride + column + lane / 16 * 8;
}
/// 16 rows of 16 columns as two right operands, or transposed as a left one.
__device__ __forceinline__ const Element* wide(const Element* rows, int row, int column, int lane, int stride = STRIDE) {
  return rows + (row + lane / 16 * 8 + lane % 8) * stride + column + lane / 8 % 2 * 8;
}
/// Sums of neighbouring columns as a left operand.
__device__ __forceinline__ void toOperand(Operand& x, const Sum& left, const Sum& right) {
  x[0] = packPair(left[0], left[1]), x[1] = packPair(left[2], left[3]);
  x[2] = packPair(right[0], right[1]), x[3] = packPair(right[2], right[3]);
}

/// A head's rows out of `in`, which begins at its sample. A thread keeps its columns, so the biases stay in its registers.
__device__ __forceinline__ void loadHead(const Element* in, const Vector* bias, const float* cosine, const float* sine, int head,
                                         Element* const (&to)[3]) {
  constexpr int across = HALF / 8;
  const int c = threadIdx.x % across * 8;
  float lowBias[3][8], highBias[3][8];
#pragma unroll
  for (int part = 0; part < 3; part++) {
    loadVector(bias + part * COLUMNS + head * W + c, lowBias[part]);
    loadVector(bias + part * COLUMNS + head * W + c + HALF, highBias[part]);
  }
#pragma unroll 2
  for (int n = threadIdx.x / across; n < ROWS; n += blockDim.x / across) {
    float cosines[8], sines[8];
    if (n < N) loadFloats(cosine + n * HALF + c, cosines), loadFloats(sine + n * HALF + c, sines);
#pragma unroll
    for (int part = 0; part < 3; part++) {
      float low[8] = {}, high[8] = {};
      if (n < N) {
        const Element* from = in + n * 3 * COLUMNS + part * COLUMNS + head * W + c;
        unpack(load(from), low);
        unpack(load(from + HALF), high);
#pragma unroll
        for (int k = 0; k < 8; k++) {
          const float a = low[k] + lowBias[part][k], b = high[k] + highBias[part][k];
          low[k] = part < 2 ? a * cosines[k] - b * sines[k] : a;
          high[k] = part < 2 ? a * sines[k] + b * cosines[k] : b;
        }
      }
      store(to[part] + n * STRIDE + c, pack(low));
      store(to[part] + n * STRIDE + c + HALF, pack(high));
    }
  }
}
