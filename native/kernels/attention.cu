// Attention of rows that are short enough to lie in shared memory: from the product [q | k | v], see attention.h, to [B, N, H, W].
// A block takes a head of a sample, a warp 16 queries at a time; the softmax runs along blocks of keys. Bytes a row: 4 H W
// elements, where split, turn and attention apart move 10.
#include "attention.h"

#define WARPS 8

/// 16 queries from `row` on. logSums: of each, log2 of the sum that its scores were divided by.
__device__ __forceinline__ void attend(Element* q, const Element* k, const Element* v, int row, int lane, float scale, Element* out,
                                       float* logSums) {
  Operand queries[W / 16];
  Sum sums[W / 8] = {};
  float largest[2] = {LEAST, LEAST}, total[2] = {};
#pragma unroll
  for (int c = 0; c < W / 16; c++) loadMatrices(queries[c], tall(q, row, 16 * c, lane));
  for (int key = 0; key < ROWS; key += KEYS) {
    Sum scores[KEYS / 8] = {};
#pragma unroll
    for (int c = 0; c < W / 16; c++)
#pragma unroll
      for (int t = 0; t < KEYS / 8; t += 2) {
        Operand x;
        loadMatrices(x, wide(k, key + 8 * t, 16 * c, lane));
        multiplyAdd(scores[t], queries[c], x[0], x[1]);
        multiplyAdd(scores[t + 1], queries[c], x[2], x[3]);
      }
#pragma unroll
    for (int half = 0; half < 2; half++) {  // a lane holds two columns of row lane / 4, and of the one eight below
      float most = largest[half];
#pragma unroll
      for (int t = 0; t < KEYS / 8; t++)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) {
          if (N % KEYS != 0 && key + 8 * t + 2 * (lane % 4) + i % 2 >= N) scores[t][i] = LEAST;
          most = fmaxf(most, scores[t][i]);
        }
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
      const float shrink = power2((largest[half] - most) * scale), base = most * scale;
      largest[half] = most;
      total[half] *= shrink;
#pragma unroll
      for (int t = 0; t < W / 8; t++) sums[t][2 * half] *= shrink, sums[t][2 * half + 1] *= shrink;
#pragma unroll
      for (int t = 0; t < KEYS / 8; t++)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) {
          scores[t][i] = power2(scores[t][i] * scale - base);
          total[half] += scores[t][i];
        }
    }
#pragma unroll
    for (int t = 0; t < KEYS / 8; t += 2) {
      Operand shares;
      toOperand(shares, scores[t], scores[t + 1]);
#pragma unroll
      for (int c = 0; c < W / 8; c += 2) {
        Operand x;
        loadTransposed(x, tall(v, key + 8 * t, 8 * c, lane));
        multiplyAdd(sums[c], shares, x[0], x[1]);
        multiplyAdd(sums[c + 1], shares, x[2], x[3]);
      }
    }
  }
  __syncwarp();  // the queries' rows are read, and are this warp's own: the way out
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const float whole = laneSum<4>(total[half]), inverse = 1.0f / whole;
    const int n = row + 8 * half + lane / 4;
#pragma unroll
    for (int t = 0; t < W / 8; t++)
      *reinterpret_cast<unsigned*>(q + n * STRIDE + 8 * t + 2 * (lane % 4)) =
          packPair(sums[t][2 * half] * inverse, sums[t][2 * half + 1] * inverse);
    if (lane % 4 == 0 && n < N) logSums[n] = largest[half] * scale + log2f(whole);
  }
  __syncwarp();
  for (int i = lane; i < 16 * (W / 8); i += 32) {
    const int n = row + i / (W / 8), c = i % (W / 8) * 8;
    if (n < N) store(out + n * COLUMNS + c, load(q + n * STRIDE + c));
  }
}

/// scale: 1 / sqrt(W) as the scores have it.
extern "C" __global__ void __launch_bounds__(32 * WARPS, 2)
    attention(const Element* __restrict__ in, const Vector* __restrict__ bias, const float* __restrict__ cosine,
              const float* __restrict__ sine, Element* __restrict__ out, float* __restrict__ logSums, float scale) {
  SHARED_MEMORY(memory);
  Element* q = reinterpret_cast<Element*>(memory);
  Element *k = q + ROWS * STRIDE, *v = k + ROWS * STRIDE;
  const long long sample = blockIdx.x / H;
  const int head = blockIdx.x % H, lane = threadIdx.x % 32;
  loadHead(in + sample * N * 3 * COLUMNS, bias, cosine, sine, head, {q, k, v});
  __syncthreads();
  for (int row = threadIdx.x / 32 * 16; row < ROWS; row += 16 * WARPS)
    attend(q, k, v, row, lane, scale * LOG2E, out + sample * N * COLUMNS + head * W, logSums + static_cast<long long>(blockIdx.x) * N);
}
