// silu(gate + bias) * (value + bias) of rows [gate | value], M columns each, as 8-bit numbers and a scale a row; a warp a row, which
// stays in its registers, rounded to an element, until its largest number is known. Bytes a row: 2 M elements and M.
#include "quarters.h"
#define GROUPS (M / 8)
#define PACKS ((GROUPS + 31) / 32)
#define WARPS 4

extern "C" __global__ void __launch_bounds__(32 * WARPS)
    gated_silu_rows(const Element* __restrict__ in, const Vector* __restrict__ bias, unsigned char* __restrict__ out, float* __restrict__ scales,
                    int rows) {
  const int lane = threadIdx.x % 32;
  for (int row = blockIdx.x * WARPS + threadIdx.x / 32; row < rows; row += gridDim.x * WARPS) {
    const Element* from = in + static_cast<long long>(row) * 2 * M;
    Pack packs[PACKS];
    float most = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= M) continue;
      float gate[8], value[8], gateBias[8], valueBias[8];
      unpack(load(from + column), gate);
      unpack(load(from + M + column), value);
      loadVector(bias + column, gateBias);
      loadVector(bias + M + column, valueBias);
#pragma unroll
      for (int k = 0; k < 8; k++) {
        const float x = gate[k] + gateBias[k];
        value[k] = __fdividef(x, 1.0f + __expf(-x)) * (value[k] + valueBias[k]);  // exact division branches, and no load passes it
      }
      packs[i] = pack(value);
      unpack(packs[i], value);
#pragma unroll
      for (int k = 0; k < 8; k++) most = fmaxf(most, fabsf(value[k]));
    }
    most = fmaxf(laneMax<32>(most), leastLargest);
    if (lane == 0) scales[row] = most / largestQuarter;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= M) continue;
      float x[8];
      unpack(packs[i], x);
      storeQuarters(out + static_cast<long long>(row) * M + column, x, largestQuarter / most);
    }
  }
}
