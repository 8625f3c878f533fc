// What follows a convolution: relu(x + bias), float32, in one pass and in place, for rows [R, C], C a multiple of 8, and planes
// [P, S] of channel P % C. Bytes a number: 8.

/// What is no number stays none.
__device__ __forceinline__ float positive(float x) { return x < 0.0f ? 0.0f : x; }

extern "C" __global__ void __launch_bounds__(256) bias_relu_rows(const float* __restrict__ bias, float* x, int groups, int channels) {
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    float a[8], b[8];
    loadFloats(x + static_cast<long long>(g) * 8, a);
    loadFloats(bias + g % (channels / 8) * 8, b);
#pragma unroll
    for (int k = 0; k < 8; k++) a[k] = positive(a[k] + b[k]);
    storeFloats(x + static_cast<long long>(g) * 8, a);
  }
}

extern "C" __global__ void __launch_bounds__(256) bias_relu_planes(const float* __restrict__ bias, float* x, int count, int places, int channels) {
#pragma unroll 4
  for (int i = blockIdx.x * 256 + threadIdx.x; i < count; i += gridDim.x * 256) x[i] = positive(x[i] + bias[i / places % channels]);
}
