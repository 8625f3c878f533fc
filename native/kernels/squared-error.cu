// Mean of (x - y)^2, float32, as parts [gridDim.x] whose sum it is; and its gradient to x. A multiple of 8 numbers.
// Bytes a number: 8 forward, 12 backward. With planes x [B, 3, S] and bytes y [B, S, 3], S a multiple of 4: 5 and 9.
#include "bytes.h"

extern "C" __global__ void __launch_bounds__(256)
    squared_error(const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ parts, int groups, float scale) {
  float total = 0;
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    float a[8], b[8];
    loadFloats(x + static_cast<long long>(g) * 8, a);
    loadFloats(y + static_cast<long long>(g) * 8, b);
#pragma unroll
    for (int k = 0; k < 8; k++) total += (a[k] - b[k]) * (a[k] - b[k]);
  }
  storeSum(total * scale, parts + blockIdx.x);
}

extern "C" __global__ void __launch_bounds__(256)
    squared_error_backward(const float* __restrict__ gradParts, const float* __restrict__ x, const float* __restrict__ y,
                           float* __restrict__ gradX, int groups, float scale) {
  const float factor = 2.0f * scale * gradParts[blockIdx.x];
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    float a[8], b[8];
    loadFloats(x + static_cast<long long>(g) * 8, a);
    loadFloats(y + static_cast<long long>(g) * 8, b);
#pragma unroll
    for (int k = 0; k < 8; k++) a[k] = factor * (a[k] - b[k]);
    storeFloats(gradX + static_cast<long long>(g) * 8, a);
  }
}

extern "C" __global__ void __launch_bounds__(256)
    squared_error_bytes(const float* __restrict__ x, const unsigned char* __restrict__ y, float* __restrict__ parts, int groups, int size, float scale) {
  float total = 0;
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long first = static_cast<long long>(g) * 4, at = first + g / (size / 4) * 2LL * size;
    float a[3][4], b[3][4];
#pragma unroll
    for (int plane = 0; plane < 3; plane++) loadFour(x + at + static_cast<long long>(plane) * size, a[plane]);
    loadPlaces(y + first * 3, b);
#pragma unroll
    for (int i = 0; i < 12; i++) total += (a[i / 4][i % 4] - b[i / 4][i % 4]) * (a[i / 4][i % 4] - b[i / 4][i % 4]);
  }
  storeSum(total * scale, parts + blockIdx.x);
}

extern "C" __global__ void __launch_bounds__(256)
    squared_error_bytes_backward(const float* __restrict__ gradParts, const float* __restrict__ x, const unsigned char* __restrict__ y,
                                 float* __restrict__ gradX, int groups, int size, float scale) {
  const float factor = 2.0f * scale * gradParts[blockIdx.x];
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long first = static_cast<long long>(g) * 4, at = first + g / (size / 4) * 2LL * size;
    float a[3][4], b[3][4];
#pragma unroll
    for (int plane = 0; plane < 3; plane++) loadFour(x + at + static_cast<long long>(plane) * size, a[plane]);
    loadPlaces(y + first * 3, b);
#pragma unroll
    for (int i = 0; i < 12; i++) a[i / 4][i % 4] = factor * (a[i / 4][i % 4] - b[i / 4][i % 4]);
#pragma unroll
    for (int plane = 0; plane < 3; plane++) storeFour(gradX + at + static_cast<long long>(plane) * size, a[plane]);
  }
}
