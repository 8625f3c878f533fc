// silu(gate + bias) * (value + bias) of rows [gate | value], M columns each. A thread keeps eight columns and walks down
// the rows, so the biases, and their gradients' sums, stay in its registers. Bytes a row: 3 M elements forward, 5 M back.
__device__ __forceinline__ float logistic(float x) { return 1.0f / (1.0f + __expf(-x)); }

extern "C" __global__ void __launch_bounds__(THREADS)
    gated_silu(const Element* __restrict__ in, const Vector* __restrict__ bias, Element* __restrict__ out, int rows) {
  const int column = 8 * (blockIdx.y * blockDim.x + threadIdx.x);
  if (column >= M) return;
  float gateBias[8], valueBias[8];
  loadVector(bias + column, gateBias);
  loadVector(bias + M + column, valueBias);
#pragma unroll 2
  for (int row = blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += gridDim.x * blockDim.y) {
    const Element* from = in + static_cast<long long>(row) * 2 * M + column;
    float gate[8], value[8];
    unpack(load(from), gate);
    unpack(load(from + M), value);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float x = gate[k] + gateBias[k];
      value[k] = x * logistic(x) * (value[k] + valueBias[k]);
    }
    store(out + static_cast<long long>(row) * M + column, pack(value));
  }
}

/// parts: [gridDim.x * blockDim.y, 2 M], the biases' gradients.
extern "C" __global__ void __launch_bounds__(THREADS)
    gated_silu_backward(const Element* __restrict__ gradOut, const Element* __restrict__ in, const Vector* __restrict__ bias,
                        Element* __restrict__ gradIn, float* __restrict__ parts, int rows) {
  const int column = 8 * (blockIdx.y * blockDim.x + threadIdx.x);
  if (column >= M) return;
  float gateBias[8], valueBias[8], gateSum[8] = {}, valueSum[8] = {};
  loadVector(bias + column, gateBias);
  loadVector(bias + M + column, valueBias);
  const int first = blockIdx.x * blockDim.y + threadIdx.y;
#pragma unroll 2
  for (int row = first; row < rows; row += gridDim.x * blockDim.y) {
    const long long start = static_cast<long long>(row) * 2 * M + column;
    float gate[8], value[8], grad[8];
    unpack(load(in + start), gate);
    unpack(load(in + start + M), value);
    unpack(load(gradOut + static_cast<long long>(row) * M + column), grad);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float x = gate[k] + gateBias[k], y = value[k] + valueBias[k], s = logistic(x);
      value[k] = grad[k] * x * s;
      gate[k] = grad[k] * y * s * (1.0f + x * (1.0f - s));
      valueSum[k] += value[k];
      gateSum[k] += gate[k];
    }
    store(gradIn + start, pack(gate));
    store(gradIn + start + M, pack(value));
  }
  storeFloats(parts + static_cast<long long>(first) * 2 * M + column, gateSum);
  storeFloats(parts + static_cast<long long>(first) * 2 * M + M + column, valueSum);
}
