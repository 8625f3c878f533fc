// Three planes of float32, [B, 3, S], shifted and scaled a plane each, to three elements side by side, [B, S, 3]; and a
// gradient's way back. And bytes [B, S, 3] to planes. S is a multiple of 8. Bytes a number: 4 and an element, either way;
// from bytes 5.
#include "bytes.h"
extern "C" __global__ void __launch_bounds__(256)
    planes_to_channels(const float* __restrict__ planes, Element* __restrict__ channels, int groups, int size, float shift0, float shift1,
                       float shift2, float scale0, float scale1, float scale2) {
  const float shift[3] = {shift0, shift1, shift2}, scale[3] = {scale0, scale1, scale2};
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long first = static_cast<long long>(g) * 8, b = first / size, s = first % size;
    float out[24];
#pragma unroll
    for (int plane = 0; plane < 3; plane++) {
      float x[8];
      loadFloats(planes + (b * 3 + plane) * size + s, x);
#pragma unroll
      for (int k = 0; k < 8; k++) out[3 * k + plane] = (x[k] - shift[plane]) * scale[plane];
    }
#pragma unroll
    for (int i = 0; i < 3; i++) store(channels + first * 3 + 8 * i, pack(out + 8 * i));
  }
}

extern "C" __global__ void __launch_bounds__(256)
    planes_to_channels_backward(const Element* __restrict__ gradChannels, float* __restrict__ gradPlanes, int groups, int size, float scale0,
                                float scale1, float scale2) {
  const float scale[3] = {scale0, scale1, scale2};
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long first = static_cast<long long>(g) * 8, b = first / size, s = first % size;
    float in[24];
#pragma unroll
    for (int i = 0; i < 3; i++) unpack(load(gradChannels + first * 3 + 8 * i), in + 8 * i);
#pragma unroll
    for (int plane = 0; plane < 3; plane++) {
      float x[8];
#pragma unroll
      for (int k = 0; k < 8; k++) x[k] = in[3 * k + plane] * scale[plane];
      storeFloats(gradPlanes + (b * 3 + plane) * size + s, x);
    }
  }
}

extern "C" __global__ void __launch_bounds__(256)
    bytes_to_planes(const unsigned char* __restrict__ bytes, float* __restrict__ planes, int groups, int size) {
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long first = static_cast<long long>(g) * 4, at = first + g / (size / 4) * 2LL * size;
    float x[3][4];
    loadPlaces(bytes + first * 3, x);
#pragma unroll
    for (int plane = 0; plane < 3; plane++) storeFour(planes + at + static_cast<long long>(plane) * size, x[plane]);
  }
}
