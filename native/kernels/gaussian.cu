// A sample of a diagonal Gaussian, mean + deviation * noise, and its divergence from the standard normal; and their way back to
// the moments [R, 2 C], mean then log-variance, which is held within [-30, 20]. C is a multiple of 8. Bytes a number of the
// sample: two elements and 8 forward, four elements and 8 backward.

/// A log-variance within its limits; what is no number stays none.
__device__ __forceinline__ float limited(float logvar) { return logvar < -30.0f ? -30.0f : logvar > 20.0f ? 20.0f : logvar; }

/// out: [R, C]. parts: [gridDim.x], whose sum is the mean divergence; `scale` is half of one number's share.
extern "C" __global__ void __launch_bounds__(256)
    gaussian(const Element* __restrict__ moments, const float* __restrict__ noise, float* __restrict__ out, float* __restrict__ parts, int groups,
             float scale) {
  float total = 0;
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const Element* from = moments + static_cast<long long>(g / (C / 8)) * 2 * C + g % (C / 8) * 8;
    float mean[8], logvar[8], x[8];
    unpack(load(from), mean);
    unpack(load(from + C), logvar);
    loadFloats(noise + static_cast<long long>(g) * 8, x);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float log = limited(logvar[k]), deviation = expf(0.5f * log);
      total += mean[k] * mean[k] + deviation * deviation - 1.0f - log;
      x[k] = mean[k] + deviation * x[k];
    }
    storeFloats(out + static_cast<long long>(g) * 8, x);
  }
  storeSum(total * scale, parts + blockIdx.x);
}

extern "C" __global__ void __launch_bounds__(256)
    gaussian_backward(const float* __restrict__ gradOut, const float* __restrict__ gradParts, const Element* __restrict__ moments,
                      const float* __restrict__ noise, Element* __restrict__ gradMoments, int groups, float scale) {
  const float factor = scale * gradParts[blockIdx.x];
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const long long place = static_cast<long long>(g / (C / 8)) * 2 * C + g % (C / 8) * 8;
    float mean[8], logvar[8], x[8], grad[8];
    unpack(load(moments + place), mean);
    unpack(load(moments + place + C), logvar);
    loadFloats(noise + static_cast<long long>(g) * 8, x);
    loadFloats(gradOut + static_cast<long long>(g) * 8, grad);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float log = limited(logvar[k]), deviation = expf(0.5f * log);
      mean[k] = grad[k] + 2.0f * factor * mean[k];
      x[k] = 0.5f * grad[k] * x[k] * deviation + factor * (deviation * deviation - 1.0f);
      if (log != logvar[k] && log == log) x[k] = 0.0f;
    }
    store(gradMoments + place, pack(mean));
    store(gradMoments + place + C, pack(x));
  }
}
