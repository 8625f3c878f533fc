// A head of 64 columns on its way between memory and products, for hopper-attention*.cu: [q | k | v] of H heads, [B, N, 3, H, 64],
// the bias added and pairs (c, c + 32) of q and k turned by the angle of the row's place; and back.
#include "warpgroup.h"
#define W 64
#define HALF 32
#define COLUMNS (H * W)
#define ROWS ((N + 63) / 64 * 64)  // in shared memory; those after N are zeros
#define LOG2E 1.4426950408889634f

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
__device__ __forceinline__ void storeRow(const Sums& sums, int half, float scale, int lane, bool isRow, Element* to) {
  unsigned words[2][4];
#pragma unroll
  for (int side = 0; side < 2; side++) {
#pragma unroll
    for (int t = 0; t < 4; t++)
      words[side][t] = packPair(sums[4 * side + t][2 * half] * scale, sums[4 * side + t][2 * half + 1] * scale);
    gatherGroups(words[side], lane);
  }
  if (!isRow) return;
#pragma unroll
  for (int side = 0; side < 2; side++)
    store(to + side * HALF + lane % 4 * 8, {{words[side][0], words[side][1], words[side][2], words[side][3]}});
}
