// A head of 64 columns on its way between memory and products, for attention*.cu: [q | k | v] of H heads, [B, N, 3, H, 64],
// the bias added and pairs (c, c + 32) of q and k turned by the angle of the row's place; and back.
#include "warpgroup.h"
#define W 64
#define HALF 32
#define COLUMNS (H * W)
#define ROWS ((N + 63) / 64 * 64)  // in shared memory; those after N are zeros
#define LOG2E 1.4426950408889634f

__device__ __forceinline__ bool isRow(int n) { return N % 64 == 0 || n < N; }

/// Eight columns of a head's first half and those that they are pairs with.
struct Pairs {
  float low[8], high[8];
};
__device__ __forceinline__ Pairs loadPairs(const Element* from) {
  Pairs pairs;
  unpack(load(from), pairs.low), unpack(load(from + HALF), pairs.high);
  return pairs;
}
__device__ __forceinline__ Pairs loadBias(const Vector* from) {
  Pairs pairs;
  loadVector(from, pairs.low), loadVector(from + HALF, pairs.high);
  return pairs;
}
__device__ __forceinline__ Pairs loadAngles(const float* cosine, const float* sine, int at) {
  Pairs angles;
  loadFloats(cosine + at, angles.low), loadFloats(sine + at, angles.high);
  return angles;
}
__device__ __forceinline__ void addBias(Pairs& pairs, const Pairs& bias) {
#pragma unroll
  for (int k = 0; k < 8; k++) pairs.low[k] += bias.low[k], pairs.high[k] += bias.high[k];
}
__device__ __forceinline__ void rotate(Pairs& pairs, const Pairs& angles) {
#pragma unroll
  for (int k = 0; k < 8; k++) {
    const float a = pairs.low[k], b = pairs.high[k];
    pairs.low[k] = a * angles.low[k] - b * angles.high[k], pairs.high[k] = a * angles.high[k] + b * angles.low[k];
  }
}
__device__ __forceinline__ void storePairs(Element* rows, int row, int group, const Pairs& pairs) {
  store(place(rows, row, group), pack(pairs.low)), store(place(rows, row, group + 4), pack(pairs.high));
}
/// The first row of a thread that loads: four lanes take a row, and the two rows of eight lanes lie in different banks.
__device__ __forceinline__ int firstRow(int thread) { return thread / 32 * 8 + thread / 4 % 2 * 4 + thread / 8 % 4; }

/// Four lanes' pairs of columns in each of four groups of eight, to one group a lane.
__device__ __forceinline__ void gatherGroups(unsigned* words, int lane) {
#pragma unroll
  for (int bit = 1; bit < 4; bit *= 2)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (i & bit) continue;
      const bool isUpper = lane & bit;
      const unsigned low = words[i], high = words[i + bit];
      const unsigned got = __shfl_xor_sync(0xffffffffu, isUpper ? low : high, bit);
      words[i] = isUpper ? got : low, words[i + bit] = isUpper ? high : got;
    }
}
/// Half of a warp's rows: row lane / 4 of `sums`, or the one eight below, times `scale` to [64] at `to`.
__device__ __forceinline__ void storeRow(const Sums& sums, int half, float scale, int lane, bool isStored, Element* to) {
  unsigned words[2][4];
#pragma unroll
  for (int side = 0; side < 2; side++) {
#pragma unroll
    for (int t = 0; t < 4; t++)
      words[side][t] = packPair(sums[4 * side + t][2 * half] * scale, sums[4 * side + t][2 * half + 1] * scale);
    gatherGroups(words[side], lane);
  }
  if (!isStored) return;
#pragma unroll
  for (int side = 0; side < 2; side++)
    store(to + side * HALF + lane % 4 * 8, {{words[side][0], words[side][1], words[side][2], words[side][3]}});
}

/// Two sums of two lanes to one each.
__device__ __forceinline__ void halve(float& low, float high, int lane, int bit) {
  const bool isUpper = lane & bit;
  const float got = __shfl_xor_sync(0xffffffffu, isUpper ? low : high, bit);
  low = (isUpper ? high : low) + got;
}
/// 16 columns' sums of a lane, two of each of eight groups, over a warp's rows, times `scale` to columns 2 lane and 2 lane + 1.
__device__ __forceinline__ void addColumns(float (&sums)[16], int lane, float scale, float* columns) {
#pragma unroll
  for (int i = 0; i < 8; i++) halve(sums[i], sums[i + 8], lane, 16);
#pragma unroll
  for (int i = 0; i < 4; i++) halve(sums[i], sums[i + 4], lane, 8);
#pragma unroll
  for (int i = 0; i < 2; i++) halve(sums[i], sums[i + 2], lane, 4);
  columns[2 * lane] += scale * sums[0], columns[2 * lane + 1] += scale * sums[1];
}

/// Of the pairs that a lane holds of a warp's rows, from `row` on.
struct Angles {
  float2 cosines[2][4], sines[2][4];
};
__device__ __forceinline__ Angles anglesOf(const float* cosine, const float* sine, int row, int lane) {
  Angles angles = {};
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int n = row + 8 * half + lane / 4;
    if (!isRow(n)) continue;
#pragma unroll
    for (int t = 0; t < 4; t++) {
      const int at = n * HALF + 8 * t + 2 * (lane % 4);
      angles.cosines[half][t] = *reinterpret_cast<const float2*>(cosine + at);
      angles.sines[half][t] = *reinterpret_cast<const float2*>(sine + at);
    }
  }
  return angles;
}
__device__ __forceinline__ void turnBack(Sums& rows, const Angles& angles) {
#pragma unroll
  for (int t = 0; t < 4; t++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float2 cosines = angles.cosines[i / 2][t], sines = angles.sines[i / 2][t];
      const float c = i % 2 ? cosines.y : cosines.x, s = i % 2 ? sines.y : sines.x, low = rows[t][i], high = rows[t + 4][i];
      rows[t][i] = low * c + high * s, rows[t + 4][i] = high * c - low * s;
    }
}

/// A warp's 16 rows of a part's gradient, times `scale`, to [N, 3, H, 64] and to the sums of columns.
__device__ __forceinline__ void storeRows(const Sums& rows, int row, int lane, float scale, Element* to, float* columns) {
  float sums[16] = {};
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int n = row + 8 * half + lane / 4;
    storeRow(rows, half, scale, lane, isRow(n), to + n * 3 * COLUMNS);
    if (!isRow(n)) continue;
#pragma unroll
    for (int k = 0; k < 16; k++) sums[k] += rows[k / 2][2 * half + k % 2];
  }
  addColumns(sums, lane, scale, columns);
}
