// What follows a convolution: relu(x + bias), float32, in one pass, for rows [R, C], C a multiple of 8, and planes [P, S] of
// channel P % C. PARTS 3, of rows: each number as the bits that TensorFloat-32 has, what is left of them, and these bits again,
// [R, 3, C]: three products of such parts are one of float32, to 2e-7 or so. HAS_BIAS 0: the parts of x as it is.
/// What is no number stays none.
__device__ __forceinline__ float positive(float x) { return x < 0.0f ? 0.0f : x; }

/// The nearest number of 11 significant bits.
__device__ __forceinline__ float high(float x) { return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u); }

extern "C" __global__ void __launch_bounds__(256)
    bias_relu_rows(const float* x, const float* __restrict__ bias, float* out, int groups, int channels) {
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    float a[8];
    loadFloats(x + static_cast<long long>(g) * 8, a);
#if HAS_BIAS
    float b[8];
    loadFloats(bias + g % (channels / 8) * 8, b);
#pragma unroll
    for (int k = 0; k < 8; k++) a[k] = positive(a[k] + b[k]);
#endif
#if PARTS == 1
    storeFloats(out + static_cast<long long>(g) * 8, a);
#else
    float first[8], rest[8];
#pragma unroll
    for (int k = 0; k < 8; k++) first[k] = high(a[k]), rest[k] = high(a[k] - first[k]);
    float* to = out + static_cast<long long>(g / (channels / 8)) * 3 * channels + g % (channels / 8) * 8;
    storeFloats(to, first);
    storeFloats(to + channels, rest);
    storeFloats(to + 2 * channels, first);
#endif
  }
}

extern "C" __global__ void __launch_bounds__(256)
    bias_relu_planes(const float* x, const float* __restrict__ bias, float* out, int count, int places, int channels) {
#pragma unroll 4
  for (int i = blockIdx.x * 256 + threadIdx.x; i < count; i += gridDim.x * 256) out[i] = positive(x[i] + bias[i / places % channels]);
}
