// Attention of rows that are short enough to lie in shared memory: from the product [q | k | v], see heads.h, to [B, N, H, 64].
// A block takes a head of a sample, four warps together 64 queries at a time; the softmax runs along blocks of 64 keys. Two blocks
// share a multiprocessor, so that one loads while the other multiplies. Bytes a row: 4 H W elements, where split, turn and
// attention apart move 10.
#include "heads.h"

#define THREADS 256
#define LEAST -1e30f

/// A head of `in`, which begins at its sample and head.
__device__ __forceinline__ void loadHead(const Element* in, const Vector* bias, const float* cosine, const float* sine, Element* q,
                                         Element* k, Element* v) {
  const int group = threadIdx.x % 4, c = 8 * group;
  const Pairs ofQueries = loadBias(bias + c), ofKeys = loadBias(bias + COLUMNS + c), ofValues = loadBias(bias + 2 * COLUMNS + c);
#pragma unroll 2
  for (int i = 0; i < ROWS; i += THREADS / 4) {
    const int n = i + firstRow(threadIdx.x);
    Pairs query = {}, key = {}, value = {};
    if (isRow(n)) {
      const Element* from = in + n * 3 * COLUMNS + c;
      const Pairs angles = loadAngles(cosine, sine, n * HALF + c);
      query = loadPairs(from), key = loadPairs(from + COLUMNS), value = loadPairs(from + 2 * COLUMNS);
      addBias(query, ofQueries), addBias(key, ofKeys), addBias(value, ofValues);
      rotate(query, angles), rotate(key, angles);
    }
    storePairs(q, n, group, query), storePairs(k, n, group, key), storePairs(v, n, group, value);
  }
}

/// A block of scores to shares of the softmax that is not yet divided, and what came before shrunk to the new maximum; half of a
/// warp's rows.
__device__ __forceinline__ void exponentiate(Sums& scores, Sums& sums, int half, int key, int lane, float scale, float& largest, float& total) {
  float most = largest;
#pragma unroll
  for (int t = 0; t < 8; t++)
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; i++) {
      if (N % 64 != 0 && key + 8 * t + 2 * (lane % 4) + i % 2 >= N) scores[t][i] = LEAST;
      most = fmaxf(most, scores[t][i]);
    }
  most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
  most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
  const float shrink = power2((largest - most) * scale), base = most * scale;
  largest = most;
  total *= shrink;
#pragma unroll
  for (int t = 0; t < 8; t++)
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; i++) {
      sums[t][i] *= shrink;
      scores[t][i] = power2(scores[t][i] * scale - base);
      total += scores[t][i];
    }
}

/// Four warps' 64 queries from `row` on. logSums: of each, log2 of the sum that its scores were divided by.
__device__ __forceinline__ void attend(const Element* q, const Element* k, const Element* v, int row, int lane, float scale, Element* out,
                                       float* logSums) {
  const Tile queries = tileAt(q, row);
  Sums sums = {};
  float largest[2] = {LEAST, LEAST}, total[2] = {};
#pragma unroll 1
  for (int key = 0; key < ROWS; key += 64) {
    Sums scores;
    begin();
    multiplyRows(scores, queries, tileAt(k, key));
    commit();
    wait<0>();
    settle(scores), settle(sums);
#pragma unroll
    for (int half = 0; half < 2; half++) exponentiate(scores, sums, half, key, lane, scale, largest[half], total[half]);
    Operand shares[4];
    toOperands(shares, scores);
    begin();
    multiplyAdd(sums, shares, tileAt(v, key));
    commit();
  }
  wait<0>();
  settle(sums);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const float whole = laneSum<4>(total[half]);
    const int n = row + threadIdx.x / 32 % 4 * 16 + 8 * half + lane / 4;
    if (lane % 4 == 0 && isRow(n)) logSums[n] = largest[half] * scale + log2f(whole);
    storeRow(sums, half, 1.0f / whole, lane, isRow(n), out + n * COLUMNS);
  }
}

/// scale: 1 / 8 as the scores have it.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    attention(const Element* __restrict__ in, const Vector* __restrict__ bias, const float* __restrict__ cosine,
              const float* __restrict__ sine, Element* __restrict__ out, float* __restrict__ logSums, float scale) {
  SHARED_MEMORY(memory);
  Element* q = reinterpret_cast<Element*>(memory);
  Element *k = q + ROWS * W, *v = k + ROWS * W;
  const long long sample = blockIdx.x / H;
  const int column = blockIdx.x % H * W;
  loadHead(in + sample * N * 3 * COLUMNS + column, bias + column, cosine, sine, q, k, v);
  showStores();
  __syncthreads();
  for (int row = threadIdx.x / 128 * 64; row < ROWS; row += THREADS / 2)
    attend(q, k, v, row, threadIdx.x % 32, scale * LOG2E, out + sample * N * COLUMNS + column, logSums + static_cast<long long>(blockIdx.x) * N);
}
