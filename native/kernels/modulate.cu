// As add-norm.cu, for a stream whose every sample has vectors of its own, [B, D]: sum = stream + gate (branch + bias), and its
// layer norm times 1 + scale plus shift. N rows a sample. Forward a warp takes a row; backward a block of one thread for
// eight columns walks down a part of a sample's rows, four at a time, so that the columns' sums stay in registers.
// Bytes a row: 4 D elements forward (2 without a branch), 6 D backward (4 without).
#define GROUPS (D / 8)
#define PACKS ((GROUPS + 31) / 32)
#define WARPS 4                               // forward
#define THREADS ((GROUPS + 31) / 32 * 32)     // backward
#define KINDS (HAS_BRANCH ? 4 : 2)            // shift, scale; gate, the branch's bias
#define TOGETHER 4

extern "C" __global__ void __launch_bounds__(32 * WARPS)
    modulate(const Element* __restrict__ stream, const Element* __restrict__ branch, const Vector* __restrict__ branchBias,
             const Element* __restrict__ gate, const Element* __restrict__ shift, const Element* __restrict__ scale,
             Element* __restrict__ sum, Element* __restrict__ out, float* __restrict__ mean, float* __restrict__ deviation, int rows,
             float eps) {
  const int lane = threadIdx.x % 32;
  for (int row = blockIdx.x * WARPS + threadIdx.x / 32; row < rows; row += gridDim.x * WARPS) {
    const long long start = static_cast<long long>(row) * D;
    const int own = row / N * D;  // the sample's vectors
    float x[PACKS][8] = {};
    float total = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= D) continue;
      unpack(load(stream + start + column), x[i]);
#if HAS_BRANCH
      float y[8], b[8], g[8];
      unpack(load(branch + start + column), y);
      unpack(load(gate + own + column), g);
      loadVector(branchBias + column, b);
#pragma unroll
      for (int k = 0; k < 8; k++) x[i][k] += g[k] * (y[k] + b[k]);
      const Pack rounded = pack(x[i]);
      store(sum + start + column, rounded);
      unpack(rounded, x[i]);  // what the backward pass will see
#endif
#pragma unroll
      for (int k = 0; k < 8; k++) total += x[i][k];
    }
    const float centre = laneSum<32>(total) / D;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++)
      if (8 * (lane + 32 * i) < D)
#pragma unroll
        for (int k = 0; k < 8; k++) squares += (x[i][k] - centre) * (x[i][k] - centre);
    const float inverse = rsqrtf(laneSum<32>(squares) / D + eps);
    if (lane == 0) mean[row] = centre, deviation[row] = inverse;
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
      const int column = 8 * (lane + 32 * i);
      if (column >= D) continue;
      float w[8], b[8], y[8];
      unpack(load(scale + own + column), w);
      unpack(load(shift + own + column), b);
#pragma unroll
      for (int k = 0; k < 8; k++) y[k] = (x[i][k] - centre) * inverse * (1.0f + w[k]) + b[k];
      store(out + start + column, pack(y));
    }
  }
}

/// grid: parts of a sample, samples. parts [B, gridDim.x, KINDS, D].
extern "C" __global__ void __launch_bounds__(THREADS)
    modulate_backward(const Element* __restrict__ gradOut, const Element* __restrict__ gradSum, const Element* __restrict__ sum,
                      const Element* __restrict__ branch, const Vector* __restrict__ branchBias, const Element* __restrict__ gate,
                      const Element* __restrict__ scale, const float* __restrict__ mean, const float* __restrict__ deviation,
                      Element* __restrict__ gradIn, Element* __restrict__ gradBranch, float* __restrict__ parts) {
  __shared__ float shared[2][THREADS / 32][2 * TOGETHER];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, column = 8 * threadIdx.x;
  const bool isThere = column < D;
  const int count = (N + gridDim.x - 1) / gridDim.x, first = blockIdx.x * count, end = min(first + count, N);
  float w[8] = {}, sums[KINDS][8] = {};
  if (isThere) unpack(load(scale + blockIdx.y * D + column), w);
#if HAS_BRANCH
  float b[8] = {}, own[8] = {};
  if (isThere) loadVector(branchBias + column, b), unpack(load(gate + blockIdx.y * D + column), own);
#endif
  int turn = 0;
  for (int n = first; n < end; n += TOGETHER, turn ^= 1) {
    Pack g[TOGETHER], x[TOGETHER];
#if HAS_BRANCH
    Pack s[TOGETHER], y[TOGETHER];
#endif
    float centre[TOGETHER], inverse[TOGETHER];
#pragma unroll
    for (int i = 0; i < TOGETHER; i++) {
      const long long row = static_cast<long long>(blockIdx.y) * N + min(n + i, end - 1), start = row * D + column;
      centre[i] = mean[row], inverse[i] = deviation[row];
      if (!isThere) continue;
      g[i] = load(gradOut + start), x[i] = load(sum + start);
#if HAS_BRANCH
      s[i] = load(gradSum + start), y[i] = load(branch + start);
#endif
    }
#pragma unroll
    for (int i = 0; i < TOGETHER; i++) {
      float total = 0, dot = 0;
      if (isThere) {
        float dy[8], value[8];
        unpack(g[i], dy);
        unpack(x[i], value);
#pragma unroll
        for (int k = 0; k < 8; k++) {
          const float slope = dy[k] * (1.0f + w[k]);
          total += slope;
          dot += slope * (value[k] - centre[i]) * inverse[i];
        }
      }
      total = laneSum<32>(total);
      dot = laneSum<32>(dot);
      if (lane == 0) shared[turn][warp][2 * i] = total, shared[turn][warp][2 * i + 1] = dot;
    }
    __syncthreads();  // once a turn: the next turn writes the other half
    if (!isThere) continue;
#pragma unroll
    for (int i = 0; i < TOGETHER; i++) {
      if (n + i >= end) break;
      float total = 0, dot = 0, dy[8], value[8], dx[8];
#pragma unroll
      for (int k = 0; k < THREADS / 32; k++) total += shared[turn][k][2 * i], dot += shared[turn][k][2 * i + 1];
      total /= D, dot /= D;
      unpack(g[i], dy);
      unpack(x[i], value);
#pragma unroll
      for (int k = 0; k < 8; k++) {
        const float unit = (value[k] - centre[i]) * inverse[i];
        sums[0][k] += dy[k];
        sums[1][k] += dy[k] * unit;
        dx[k] = inverse[i] * (dy[k] * (1.0f + w[k]) - total - unit * dot);
      }
      const long long start = (static_cast<long long>(blockIdx.y) * N + n + i) * D + column;
#if HAS_BRANCH
      float rest[8], value2[8], out[8];
      unpack(s[i], rest);
      unpack(y[i], value2);
#pragma unroll
      for (int k = 0; k < 8; k++) {
        dx[k] += rest[k];
        out[k] = dx[k] * own[k];
        sums[2][k] += dx[k] * (value2[k] + b[k]);
        sums[3][k] += out[k];
      }
      store(gradBranch + start, pack(out));
#endif
      store(gradIn + start, pack(dx));
    }
  }
  if (!isThere) return;
  float* to = parts + (static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x) * KINDS * D + column;
#pragma unroll
  for (int kind = 0; kind < KINDS; kind++) storeFloats(to + kind * D, sums[kind]);
}
