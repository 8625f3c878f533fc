// The way back through attention.cu: the gradient of the product [q | k | v], turned back, and of its bias. A block takes a head of
// a sample. For each block of keys a warp makes the scores of its own queries again; scores and their gradients then lie in
// shared memory, from where half of the warps sum up the values' gradients and half the keys', 16 of them and 32 columns
// each. Bytes a row: 8 H W elements.
#include "attention.h"

#define WARPS 16
#define SIDES (W / 32)  // of 32 columns that are pairs of each other: 16 of the first half of a head, 16 of the second
#define TILES ((ROWS / 16 + WARPS - 1) / WARPS)  // of 16 queries, of each warp

struct Head {
  Element *q, *k, *v, *grad;     // [ROWS, STRIDE]
  Element *scores, *gradScores;  // [ROWS, SCORES], of the block of keys
  float *logSums, *along;        // [ROWS]; along: the gradient's product with the output
  float* sums;                   // [2, WARPS, W]
};
__device__ __forceinline__ Head headIn(unsigned char* memory) {
  Head head;
  head.q = reinterpret_cast<Element*>(memory);
  head.k = head.q + ROWS * STRIDE, head.v = head.k + ROWS * STRIDE, head.grad = head.v + ROWS * STRIDE;
  head.scores = head.grad + ROWS * STRIDE, head.gradScores = head.scores + ROWS * SCORES;
  head.logSums = reinterpret_cast<float*>(head.gradScores + ROWS * SCORES);
  head.along = head.logSums + ROWS, head.sums = head.along + ROWS;
  return head;
}

/// The output's gradient and its product with the output, both [N, H, W] of a sample from the head's column on.
__device__ __forceinline__ void loadGradient(const Element* grad, const Element* out, const float* logSums, const Head& head) {
  constexpr int lanes = W / 8;
  for (int i = threadIdx.x; i < ROWS * lanes; i += blockDim.x) {
    const int n = i / lanes, c = i % lanes * 8;
    float g[8] = {}, o[8] = {}, dot = 0;
    if (n < N) unpack(load(grad + n * COLUMNS + c), g), unpack(load(out + n * COLUMNS + c), o);
#pragma unroll
    for (int k = 0; k < 8; k++) dot += g[k] * o[k];
    dot = laneSum<lanes>(dot);
    store(head.grad + n * STRIDE + c, pack(g));
    if (c == 0) head.along[n] = dot, head.logSums[n] = n < N ? logSums[n] : 0.0f;
  }
}

/// Scores of 16 queries with 32 keys, columns of `scores` from `first` on, and their gradients, which are added to the queries' own.
__device__ __forceinline__ void scoreQueries(const Head& head, int row, int key, int first, int lane, float scale,
                                             Sum (&gradQueries)[W / 8]) {
  Sum scores[4] = {}, grads[4] = {};
#pragma unroll
  for (int c = 0; c < W; c += 16) {
    Operand query, grad;
    loadMatrices(query, tall(head.q, row, c, lane));
    loadMatrices(grad, tall(head.grad, row, c, lane));
#pragma unroll
    for (int t = 0; t < 4; t += 2) {
      Operand x;
      loadMatrices(x, wide(head.k, key + first + 8 * t, c, lane));
      multiplyAdd(scores[t], query, x[0], x[1]);
      multiplyAdd(scores[t + 1], query, x[2], x[3]);
      loadMatrices(x, wide(head.v, key + first + 8 * t, c, lane));
      multiplyAdd(grads[t], grad, x[0], x[1]);
      multiplyAdd(grads[t + 1], grad, x[2], x[3]);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {  // a lane holds two columns of row lane / 4, and of the one eight below
    const int n = row + 8 * half + lane / 4;
    const float logSum = head.logSums[n], along = head.along[n];
#pragma unroll
    for (int t = 0; t < 4; t++) {
      const int column = first + 8 * t + 2 * (lane % 4);
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; i++) {
        const bool isKey = N % KEYS == 0 || key + column + i % 2 < N;
        scores[t][i] = isKey ? power2(scores[t][i] * scale - logSum) : 0.0f;
        grads[t][i] = scores[t][i] * (grads[t][i] - along);
      }
      *reinterpret_cast<unsigned*>(head.scores + n * SCORES + column) = packPair(scores[t][2 * half], scores[t][2 * half + 1]);
      *reinterpret_cast<unsigned*>(head.gradScores + n * SCORES + column) = packPair(grads[t][2 * half], grads[t][2 * half + 1]);
    }
  }
#pragma unroll
  for (int t = 0; t < 4; t += 2) {
    Operand grad;
    toOperand(grad, grads[t], grads[t + 1]);
#pragma unroll
    for (int c = 0; c < W / 8; c += 2) {
      Operand x;
      loadTransposed(x, tall(head.k, key + first + 8 * t, 8 * c, lane));
      multiplyAdd(gradQueries[c], grad, x[0], x[1]);
      multiplyAdd(gradQueries[c + 1], grad, x[2], x[3]);
    }
  }
}

/// Gradients of 16 keys, or values, whose scores begin at a column, in two groups of 16 columns: from `side` on, and half a head
/// on: the scores' transpose times what every query gave.
__device__ __forceinline__ void sumOverQueries(const Element* scores, const Element* rows, int column, int side, int lane, Sum (&sums)[4]) {
#pragma unroll 4
  for (int n = 0; n < ROWS; n += 16) {
    Operand left, x;
    loadTransposed(left, wide(scores, n, column, lane, SCORES));
#pragma unroll
    for (int half = 0; half < 2; half++) {
      loadTransposed(x, tall(rows, n, side + half * HALF, lane));
      multiplyAdd(sums[2 * half], left, x[0], x[1]);
      multiplyAdd(sums[2 * half + 1], left, x[2], x[3]);
    }
  }
}

/// 16 rows of a part's gradient into `to`, [N, 3, H, W] of a sample from the part's and head's column on, and to the sums of
/// columns: `tiles` of eight columns from `side` on, and as many half a head on.
template <int tiles>
__device__ __forceinline__ void storeRows(Sum (&rows)[2 * tiles], int row, int side, int lane, const float* cosine, const float* sine,
                                          float scale, bool isTurned, Element* to, float (&columns)[2 * tiles][2]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int n = row + 8 * half + lane / 4;
    if (n >= N) continue;
#pragma unroll
    for (int t = 0; t < tiles; t++) {
      const int c = side + 8 * t + 2 * (lane % 4);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float &low = rows[t][2 * half + i], &high = rows[t + tiles][2 * half + i];
        low *= scale, high *= scale;
        if (isTurned) {
          const float a = low, b = high, x = cosine[n * HALF + c + i], y = sine[n * HALF + c + i];
          low = a * x + b * y, high = b * x - a * y;
        }
        columns[t][i] += low, columns[t + tiles][i] += high;
      }
      Element* place = to + n * 3 * COLUMNS + c;
      *reinterpret_cast<unsigned*>(place) = packPair(rows[t][2 * half], rows[t][2 * half + 1]);
      *reinterpret_cast<unsigned*>(place + HALF) = packPair(rows[t + tiles][2 * half], rows[t + tiles][2 * half + 1]);
    }
  }
}

/// A warp's sums of columns over its lanes, to where the block adds them up.
template <int tiles>
__device__ __forceinline__ void storeColumns(const float (&columns)[2 * tiles][2], int side, int lane, float* to) {
#pragma unroll
  for (int t = 0; t < 2 * tiles; t++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float sum = columns[t][i];
#pragma unroll
      for (int offset = 4; offset < 32; offset *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
      if (lane < 4) to[side + t / tiles * HALF + t % tiles * 8 + 2 * lane + i] = sum;
    }
}

/// parts [B, 3, H, W]: the bias's gradient of each sample. scale: 1 / sqrt(W).
extern "C" __global__ void __launch_bounds__(32 * WARPS, 1)
    attention_backward(const Element* __restrict__ gradOut, const Element* __restrict__ in, const Vector* __restrict__ bias,
                       const float* __restrict__ cosine, const float* __restrict__ sine, const Element* __restrict__ out,
                       const float* __restrict__ logSums, Element* __restrict__ gradIn, float* __restrict__ parts, float scale) {
  SHARED_MEMORY(memory);
  const Head head = headIn(memory);
  const long long sample = blockIdx.x / H;
  const int column = blockIdx.x % H * W, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  loadHead(in + sample * N * 3 * COLUMNS, bias, cosine, sine, blockIdx.x % H, {head.q, head.k, head.v});
  loadGradient(gradOut + sample * N * COLUMNS + column, out + sample * N * COLUMNS + column, logSums + static_cast<long long>(blockIdx.x) * N, head);
  __syncthreads();
  Element* to = gradIn + sample * N * 3 * COLUMNS + column;
  Sum gradQueries[TILES][W / 8] = {};
  float ofQueries[W / 8][2] = {}, ofOthers[4][2] = {};  // columns, of queries and of the warp's keys or values
  const bool isOfKeys = warp >= WARPS / 2;
  const int part = isOfKeys ? 1 : 2, own = warp % 4 * 16, side = warp / 4 % 2 * 16;
  for (int key = 0; key < ROWS; key += KEYS) {
#pragma unroll
    for (int i = 0; i < TILES; i++) {
      const int row = 16 * (warp + WARPS * i);
      if (row < ROWS)
#pragma unroll 1
        for (int first = 0; first < KEYS; first += 32) scoreQueries(head, row, key, first, lane, scale * LOG2E, gradQueries[i]);
    }
    __syncthreads();
    if (side < 16 * SIDES) {
      Sum rows[4] = {};
      sumOverQueries(isOfKeys ? head.gradScores : head.scores, isOfKeys ? head.q : head.grad, own, side, lane, rows);
      storeRows<2>(rows, key + own, side, lane, cosine, sine, isOfKeys ? scale : 1.0f, isOfKeys, to + part * COLUMNS, ofOthers);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < TILES; i++)
    storeRows<W / 16>(gradQueries[i], 16 * (warp + WARPS * i), 0, lane, cosine, sine, scale, true, to, ofQueries);
  storeColumns<W / 16>(ofQueries, 0, lane, head.sums + warp * W);
  if (side < 16 * SIDES) storeColumns<2>(ofOthers, side, lane, head.sums + (WARPS + warp) * W);
  __syncthreads();
  for (int i = threadIdx.x; i < 3 * W; i += 32 * WARPS) {
    const int of = i / W, first = WARPS + (of == 1 ? WARPS / 2 : 0) + i % HALF / 16 * 4;
    float sum = 0;
    for (int k = 0; k < (of == 0 ? WARPS : 4); k++) sum += head.sums[((of == 0 ? 0 : first) + k) * W + i % W];
    parts[(sample * 3 + of) * COLUMNS + column + i % W] = sum;
  }
}
