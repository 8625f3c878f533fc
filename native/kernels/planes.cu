// Three planes of float32, [B, 3, S], shifted and scaled a plane each, to eight elements side by side, [B, S, 8], the last five
// of them zeros: so that a place is 16 bytes, which the fastest convolutions ask for. And a gradient's way back. S is a
// multiple of 8. Bytes a place: 12 and eight elements, either way.
extern "C" __global__ void __launch_bounds__(256)
    planes_to_channels(const float* __restrict__ planes, Element* __restrict__ channels, int groups, int size, float shift0, float shift1,
                       float shift2, float scale0, float scale1, float scale2) {
  const float shift[3] = {shift0, shift1, shift2}, scale[3] = {scale0, scale1, scale2};
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long first = static_cast<long long>(g) * 8, b = first / size, s = first % size;
    float out[8][8] = {};
#pragma unroll
    for (int plane = 0; plane < 3; plane++) {
      float x[8];
      loadFloats(planes + (b * 3 + plane) * size + s, x);
#pragma unroll
      for (int k = 0; k < 8; k++) out[k][plane] = (x[k] - shift[plane]) * scale[plane];
    }
#pragma unroll
    for (int k = 0; k < 8; k++) store(channels + (first + k) * 8, pack(out[k]));
  }
}

extern "C" __global__ void __launch_bounds__(256)
    planes_to_channels_backward(const Element* __restrict__ gradChannels, float* __restrict__ gradPlanes, int groups, int size, float scale0,
                                float scale1, float scale2) {
  const float scale[3] = {scale0, scale1, scale2};
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long first = static_cast<long long>(g) * 8, b = first / size, s = first % size;
    float in[8][8];
#pragma unroll
    for (int k = 0; k < 8; k++) unpack(load(gradChannels + (first + k) * 8), in[k]);
#pragma unroll
    for (int plane = 0; plane < 3; plane++) {
      float x[8];
#pragma unroll
      for (int k = 0; k < 8; k++) x[k] = in[k][plane] * scale[plane];
      storeFloats(gradPlanes + (b * 3 + plane) * size + s, x);
    }
  }
}
