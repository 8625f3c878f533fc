// Sum of a stream, a branch and the branch's bias, and the sum's layer norm over D columns; a warp a row. Statistics and
// sums are float32. In place of a branch, HAS_PENDING: a vector that is added to the stream and not written. The backward pass
// also leaves the columns' sums (weight, bias, branch's bias), one part a block. QUANTISED: the norm as 8-bit numbers and a scale
// a row. Bytes a row: 4 D elements forward (2 without a branch; one of them a byte where QUANTISED), 4 D backward.
#define GROUPS (D / 8)
#define PACKS ((GROUPS + 31) / 32)
#define WARPS 4
#define RESIDENT (D <= 768 && ELEMENT_BITS == 16 ? 3 : 1)  // blocks a multiprocessor holds at once, backward

#ifndef QUANTISED
#define QUANTISED 0
#endif
#ifndef HAS_SUM
#define HAS_SUM 0
#endif
#if QUANTISED
#include "quarters.h"
#endif

extern "C" __global__ void __launch_bounds__(32 * WARPS)
    add_norm(const Element* __restrict__ stream, const Element* __restrict__ branch, const Vector* __restrict__ branchBias,
             const Vector* __restrict__ weight, const Vector* __restrict__ bias, Element* __restrict__ sum,
#if QUANTISED
             unsigned char* __restrict__ out, float* __restrict__ scales,
#else
             Element* __restrict__ out,
#endif
             float* __restrict__ mean, float* __restrict__ deviation, const float* __restrict__ pending, int rows,
             float eps) {
  const int lane = threadIdx.x % 32, first = blockIdx.x * WARPS + threadIdx.x / 32;
  for (int row = first; row < rows; row += gridDim.x * WARPS) {
    const long long start = static_cast<long long>(row) * D;
    float x[PACKS][8];
    float total = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= D) {
#pragma unroll
        for (int k = 0; k < 8; k++) x[i][k] = 0;
        continue;
      }
      unpack(load(stream + start + column), x[i]);
#if HAS_BRANCH
      float y[8], b[8];
      unpack(load(branch + start + column), y);
      loadVector(branchBias + column, b);
#pragma unroll
      for (int k = 0; k < 8; k++) x[i][k] += y[k] + b[k];
      const Pack rounded = pack(x[i]);
      store(sum + start + column, rounded);
      unpack(rounded, x[i]);  // what the backward pass will see
#elif HAS_PENDING
      float p[8];
      loadFloats(pending + column, p);
#pragma unroll
      for (int k = 0; k < 8; k++) x[i][k] += p[k];
#endif
#pragma unroll
      for (int k = 0; k < 8; k++) total += x[i][k];
    }
    const float centre = laneSum<32>(total) / D;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++)
      if (8 * (lane + 32 * i) < D)
#pragma unroll
        for (int k = 0; k < 8; k++) squares += (x[i][k] - centre) * (x[i][k] - centre);
    const float inverse = rsqrtf(laneSum<32>(squares) / D + eps);
    if (lane == 0) mean[row] = centre, deviation[row] = inverse;
    float most = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= D) continue;
      float w[8], b[8], y[8];
      loadVector(weight + column, w);
      loadVector(bias + column, b);
#pragma unroll
      for (int k = 0; k < 8; k++) y[k] = (x[i][k] - centre) * inverse * w[k] + b[k];
#if QUANTISED
#pragma unroll
      for (int k = 0; k < 8; k++) x[i][k] = y[k], most = fmaxf(most, fabsf(y[k]));
#else
      store(out + start + column, pack(y));
#endif
    }
#if QUANTISED
    most = fmaxf(laneMax<32>(most), leastLargest);
    if (lane == 0) scales[row] = most / largestQuarter;
#pragma unroll
    for (int i = 0; i < PACKS; i++)
      if (8 * (lane + 32 * i) < D) storeQuarters(out + start + 8 * (lane + 32 * i), x[i], largestQuarter / most);
#endif
  }
}

/// parts: [blocks, 3, D] (2 without a branch): gradients of weight, bias and the branch's bias. HAS_SUM: the sum goes on, and its
/// gradient comes in.
extern "C" __global__ void __launch_bounds__(32 * WARPS, RESIDENT)
    add_norm_backward(const Element* __restrict__ gradOut, const Element* __restrict__ gradSum, const Element* __restrict__ sum,
                      const float* __restrict__ mean, const float* __restrict__ deviation, const Vector* __restrict__ weight,
                      Element* __restrict__ gradIn, float* __restrict__ parts, int rows) {
  constexpr int kinds = HAS_BRANCH ? 3 : 2;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float sums[kinds][PACKS][8] = {};
  for (int row = blockIdx.x * WARPS + warp; row < rows; row += gridDim.x * WARPS) {
    const long long start = static_cast<long long>(row) * D;
    const float centre = mean[row], inverse = deviation[row];
    Pack g[PACKS], x[PACKS];
#if HAS_SUM
    Pack s[PACKS];
#endif
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= D) continue;
      g[i] = load(gradOut + start + column);
      x[i] = load(sum + start + column);
#if HAS_SUM
      s[i] = load(gradSum + start + column);
#endif
    }
    float dot = 0, total = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= D) continue;
      float dy[8], value[8], w[8];
      unpack(g[i], dy);
      unpack(x[i], value);
      loadVector(weight + column, w);
#pragma unroll
      for (int k = 0; k < 8; k++) {
        const float unit = (value[k] - centre) * inverse;
        sums[0][i][k] += dy[k] * unit;
        sums[1][i][k] += dy[k];
        total += dy[k] * w[k];
        dot += dy[k] * w[k] * unit;
      }
    }
    total = laneSum<32>(total) / D;
    dot = laneSum<32>(dot) / D;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= D) continue;
      float dy[8], value[8], w[8], dx[8];
      unpack(g[i], dy);
      unpack(x[i], value);
      loadVector(weight + column, w);
#pragma unroll
      for (int k = 0; k < 8; k++) dx[k] = inverse * (dy[k] * w[k] - total - (value[k] - centre) * inverse * dot);
#if HAS_SUM
      float rest[8];
      unpack(s[i], rest);
#pragma unroll
      for (int k = 0; k < 8; k++) dx[k] += rest[k];
#endif
#if HAS_BRANCH
#pragma unroll
      for (int k = 0; k < 8; k++) sums[2][i][k] += dx[k];
#endif
      store(gradIn + start + column, pack(dx));
    }
  }
  // The block's four warps as one: each adds its columns in turn.
  __shared__ float shared[kinds * D];
  for (int turn = 0; turn < WARPS; turn++) {
    if (warp == turn)
#pragma unroll
      for (int kind = 0; kind < kinds; kind++)
#pragma unroll
        for (int i = 0; i < PACKS; i++)
#pragma unroll
          for (int k = 0; k < 8; k++) {
            const int column = 8 * (lane + 32 * i) + k;
            if (column < D) shared[kind * D + column] = sums[kind][i][k] + (turn ? shared[kind * D + column] : 0);
          }
    __syncthreads();
  }
  for (int i = threadIdx.x; i < kinds * D; i += blockDim.x) parts[static_cast<long long>(blockIdx.x) * kinds * D + i] = shared[i];
}
