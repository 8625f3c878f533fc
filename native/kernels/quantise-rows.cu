// Rows of K numbers as 8-bit floats (e4m3: at most 448), each row divided by a scale that takes its largest to 448. A warp a row,
// which stays in registers between the two. Bytes a number: an element and 1.
#define GROUPS (K / 8)
#define PACKS ((GROUPS + 31) / 32)
#define WARPS 4
#include "quarters.h"

extern "C" __global__ void __launch_bounds__(32 * WARPS)
    quantise_rows(const Element* __restrict__ in, unsigned char* __restrict__ out, float* __restrict__ scales, int rows) {
  const int lane = threadIdx.x % 32;
  for (int row = blockIdx.x * WARPS + threadIdx.x / 32; row < rows; row += gridDim.x * WARPS) {
    const long long start = static_cast<long long>(row) * K;
    Pack packs[PACKS];
    float most = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++)
      if (lane + 32 * i < GROUPS) packs[i] = load(in + start + 8 * (lane + 32 * i));
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      if (lane + 32 * i >= GROUPS) continue;
      float x[8];
      unpack(packs[i], x);
#pragma unroll
      for (int k = 0; k < 8; k++) most = fmaxf(most, fabsf(x[k]));
    }
    most = fmaxf(laneMax<32>(most), leastLargest);
    if (lane == 0) scales[row] = most / largestQuarter;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      if (lane + 32 * i >= GROUPS) continue;
      float x[8];
      unpack(packs[i], x);
      storeQuarters(out + start + 8 * (lane + 32 * i), x, largestQuarter / most);
    }
  }
}
