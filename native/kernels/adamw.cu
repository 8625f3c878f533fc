// AdamW over all tensors in one launch. Masters and moments lie flat, a tensor after the other; gradients lie where the
// backward pass left them, so their addresses travel by value. A block takes CHUNK elements of one tensor: blocks[i] holds
// the tensor and where in it to start. kinds: bit 0 decays, bit 1 has a float32 gradient (else ELEMENT_BITS). A tensor
// without a gradient stays as it is. HAS_AVERAGE: an average follows the updated numbers.
// Bytes an element: 4 x 3 and the gradient in, 4 x 3 and the working copy out; 8 more with an average.
struct Pointers {
  const void* at[COUNT];
};

__device__ __forceinline__ void loadGradient(const void* from, bool isWide, int index, float* x) {
  if (isWide) loadFloats(static_cast<const float*>(from) + index, x);
  else unpack(load(static_cast<const Element*>(from) + index), x);
}
/// As loadGradient, one element: for the ragged end of a tensor.
__device__ __forceinline__ float gradientAt(const void* from, bool isWide, int index) {
  if (isWide) return static_cast<const float*>(from)[index];
#if ELEMENT_BITS == 16
  return __uint_as_float(static_cast<unsigned>(static_cast<const Element*>(from)[index]) << 16);
#else
  return static_cast<const Element*>(from)[index];
#endif
}

/// parts[block]: the block's sum of squares.
extern "C" __global__ void __launch_bounds__(256)
    grad_squares(const __grid_constant__ Pointers grads, const int2* __restrict__ blocks, const int* __restrict__ counts,
                 const int* __restrict__ kinds, float* __restrict__ parts) {
  const int2 block = blocks[blockIdx.x];
  const void* grad = grads.at[block.x];
  const bool isWide = kinds[block.x] & 2;
  const int end = grad ? min(counts[block.x], block.y + CHUNK) : 0;
  float total = 0;
  for (int i = block.y + 8 * threadIdx.x; i < end; i += 8 * 256) {
    if (i + 8 <= end) {
      float x[8];
      loadGradient(grad, isWide, i, x);
#pragma unroll
      for (int k = 0; k < 8; k++) total += x[k] * x[k];
    } else
      for (int k = i; k < end; k++) total += gradientAt(grad, isWide, k) * gradientAt(grad, isWide, k);
  }
  __shared__ float shared[8];
  total = laneSum<32>(total);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < 8; i++) total += shared[i];
    parts[blockIdx.x] = total;
  }
}

/// One block. state: [updates made, norm, factor to clip by]; an update with a gradient that is no number is not counted.
extern "C" __global__ void __launch_bounds__(256) clip_factor(const float* __restrict__ parts, int count, float maxNorm, float* __restrict__ state) {
  double total = 0;
  for (int i = threadIdx.x; i < count; i += 256) total += parts[i];
  __shared__ double shared[256];
  shared[threadIdx.x] = total;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    const float norm = static_cast<float>(sqrt(shared[0]));
    state[1] = norm;
    state[2] = fminf(1.0f, maxNorm / (norm + 1e-6f));
    if (isfinite(norm)) state[0] += 1.0f;
  }
}

extern "C" __global__ void __launch_bounds__(256)
    adamw(const __grid_constant__ Pointers grads, const int2* __restrict__ blocks, const int* __restrict__ counts,
          const int* __restrict__ kinds, const long long* __restrict__ offsets, float* __restrict__ master,
          float* __restrict__ first, float* __restrict__ second, Element* __restrict__ working, float* __restrict__ average,
          const float* __restrict__ state, const float* __restrict__ rates, float beta1, float beta2, float eps, float decay) {
  if (!isfinite(state[1])) return;
  __shared__ float shared[2];
  if (threadIdx.x == 0) {
    shared[0] = static_cast<float>(1.0 - pow(static_cast<double>(beta1), static_cast<double>(state[0])));
    shared[1] = static_cast<float>(sqrt(1.0 - pow(static_cast<double>(beta2), static_cast<double>(state[0]))));
  }
  __syncthreads();
  const int2 block = blocks[blockIdx.x];
  const void* grad = grads.at[block.x];
  if (!grad) return;
  const bool isWide = kinds[block.x] & 2;
  const long long offset = offsets[block.x];
  const int count = counts[block.x], end = min(count, block.y + CHUNK);
  const float factor = state[2], step = rates[0] / shared[0], root = shared[1];
  const float shrink = kinds[block.x] & 1 ? 1.0f - rates[0] * decay : 1.0f;
  for (int i = block.y + 8 * threadIdx.x; i < end; i += 8 * 256) {
    float g[8], p[8], m[8], v[8];
    if (i + 8 <= count) loadGradient(grad, isWide, i, g);
    else
#pragma unroll
      for (int k = 0; k < 8; k++) g[k] = i + k < count ? gradientAt(grad, isWide, i + k) : 0.0f;
    loadFloats(master + offset + i, p);  // tensors begin at multiples of eight, so their ends may be read over
    loadFloats(first + offset + i, m);
    loadFloats(second + offset + i, v);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float x = g[k] * factor;
      m[k] += (1.0f - beta1) * (x - m[k]);
      v[k] = beta2 * v[k] + (1.0f - beta2) * x * x;
      p[k] = p[k] * shrink - step * m[k] / (sqrtf(v[k]) / root + eps);
    }
    storeFloats(master + offset + i, p);
    storeFloats(first + offset + i, m);
    storeFloats(second + offset + i, v);
    store(working + offset + i, pack(p));
#if HAS_AVERAGE
    loadFloats(average + offset + i, g);
#pragma unroll
    for (int k = 0; k < 8; k++) g[k] += rates[1] * (p[k] - g[k]);
    storeFloats(average + offset + i, g);
#endif
  }
}
