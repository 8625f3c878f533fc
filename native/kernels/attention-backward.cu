// The way back through attention.cu: the gradient of the product [q | k | v], turned back, and of its bias. A block takes a head of
// a sample. For each block of keys a warp makes the scores of its own queries again; scores and their gradients then lie in
// shared memory, from where four warps sum up the values' gradients and four the keys'. Bytes a row: 8 H W elements.
#include "attention.h"

#define WARPS 8
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

/// Scores of 16 queries with the keys from `key` on, and their gradients, which are added to the queries' own.
__device__ __forceinline__ void scoreQueries(const Head& head, int row, int key, int lane, float scale, Sum (&gradQueries)[W / 8]) {
  Sum scores[KEYS / 8] = {}, grads[KEYS / 8] = {};
#pragma unroll
  for (int c = 0; c < W; c += 16) {
    Operand query, grad;
    loadMatrices(query, tall(head.q, row, c, lane));
    loadMatrices(grad, tall(head.grad, row, c, lane));
#pragma unroll
    for (int t = 0; t < KEYS / 8; t += 2) {
      Operand x;
      loadMatrices(x, wide(head.k, key + 8 * t, c, lane));
      multiplyAdd(scores[t], query, x[0], x[1]);
      multiplyAdd(scores[t + 1], query, x[2], x[3]);
      loadMatrices(x, wide(head.v, key + 8 * t, c, lane));
      multiplyAdd(grads[t], grad, x[0], x[1]);
      multiplyAdd(grads[t + 1], grad, x[2], x[3]);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {  // a lane holds two columns of row lane / 4, and of the one eight below
    const int n = row + 8 * half + lane / 4;
    const float logSum = head.logSums[n], along = head.along[n];
#pragma unroll
    for (int t = 0; t < KEYS / 8; t++) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; i++) {
        const bool isKey = N % KEYS == 0 || key + 8 * t + 2 * (lane % 4) + i % 2 < N;
        scores[t][i] = isKey ? power2(scores[t][i] * scale - logSum) : 0.0f;
        grads[t][i] = scores[t][i] * (grads[t][i] - along);
      }
      const int place = n * SCORES + 8 * t + 2 * (lane % 4);
      *reinterpret_cast<unsigned*>(head.scores + place) = packPair(scores[t][2 * half], scores[t][2 * half + 1]);
      *reinterpret_cast<unsigned*>(head.gradScores + place) = packPair(grads[t][2 * half], grads[t][2 * half + 1]);
    }
  }
#pragma unroll
  for (int t = 0; t < KEYS / 8; t += 2) {
    Operand grad;
    toOperand(grad, grads[t], grads[t + 1]);
#pragma unroll
    for (int c = 0; c < W / 8; c += 2) {
      Operand x;
      loadTransposed(x, tall(head.k, key + 8 * t, 8 * c, lane));
      multiplyAdd(gradQueries[c], grad, x[0], x[1]);
      multiplyAdd(gradQueries[c + 1], grad, x[2], x[3]);
    }
  }
}

/// Gradients of 16 keys, or values, whose scores begin at a column: the scores' transpose times what every query gave.
__device__ __forceinline__ void sumOverQueries(const Element* scores, const Element* rows, int column, int lane, Sum (&sums)[W / 8]) {
#pragma unroll 2
  for (int n = 0; n < ROWS; n += 16) {
    Operand left;
    loadTransposed(left, wide(scores, n, column, lane, SCORES));
#pragma unroll
    for (int c = 0; c < W / 8; c += 2) {
      Operand x;
      loadTransposed(x, tall(rows, n, 8 * c, lane));
      multiplyAdd(sums[c], left, x[0], x[1]);
      multiplyAdd(sums[c + 1], left, x[2], x[3]);
    }
  }
}

/// 16 rows of a part's gradient into `to`, [N, 3, H, W] of a sample from the part's and head's column on; and to the sums of columns.
__device__ __forceinline__ void storeRows(Sum (&rows)[W / 8], int row, int lane, const float* cosine, const float* sine, float scale,
                                          bool isTurned, Element* to, float (&columns)[W / 8][2]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int n = row + 8 * half + lane / 4;
    if (n >= N) continue;
#pragma unroll
    for (int t = 0; t < W / 16; t++) {
      const int c = 8 * t + 2 * (lane % 4);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float &low = rows[t][2 * half + i], &high = rows[t + W / 16][2 * half + i];
        low *= scale, high *= scale;
        if (isTurned) {
          const float a = low, b = high, x = cosine[n * HALF + c + i], y = sine[n * HALF + c + i];
          low = a * x + b * y, high = b * x - a * y;
        }
        columns[t][i] += low, columns[t + W / 16][i] += high;
      }
      Element* place = to + n * 3 * COLUMNS + c;
      *reinterpret_cast<unsigned*>(place) = packPair(rows[t][2 * half], rows[t][2 * half + 1]);
      *reinterpret_cast<unsigned*>(place + HALF) = packPair(rows[t + W / 16][2 * half], rows[t + W / 16][2 * half + 1]);
    }
  }
}

/// A warp's sums of columns over its lanes, to where the block adds them up.
__device__ __forceinline__ void storeColumns(const float (&columns)[W / 8][2], int lane, float* to) {
#pragma unroll
  for (int t = 0; t < W / 8; t++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float sum = columns[t][i];
#pragma unroll
      for (int offset = 4; offset < 32; offset *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
      if (lane < 4) to[8 * t + 2 * lane + i] = sum;
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
  float columns[2][W / 8][2] = {};  // of queries, and of the warp's keys or values
  const bool isOfKeys = warp >= WARPS / 2;
  const int part = isOfKeys ? 1 : 2, own = warp % (WARPS / 2) * 16;
  for (int key = 0; key < ROWS; key += KEYS) {
#pragma unroll
    for (int i = 0; i < TILES; i++) {
      const int row = 16 * (warp + WARPS * i);
      if (row < ROWS) scoreQueries(head, row, key, lane, scale * LOG2E, gradQueries[i]);
    }
    __syncthreads();
    Sum rows[W / 8] = {};
    sumOverQueries(isOfKeys ? head.gradScores : head.scores, isOfKeys ? head.q : head.grad, own, lane, rows);
    storeRows(rows, key + own, lane, cosine, sine, isOfKeys ? scale : 1.0f, isOfKeys, to + part * COLUMNS, columns[1]);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < TILES; i++)
    storeRows(gradQueries[i], 16 * (warp + WARPS * i), lane, cosine, sine, scale, true, to, columns[0]);
#pragma unroll
  for (int i = 0; i < 2; i++) storeColumns(columns[i], lane, head.sums + (i * WARPS + warp) * W);
  __syncthreads();
  for (int i = threadIdx.x; i < 3 * W; i += 32 * WARPS) {
    const int of = i / W, first = of == 0 ? 0 : of == 1 ? WARPS + WARPS / 2 : WARPS, count = of == 0 ? WARPS : WARPS / 2;
    float sum = 0;
    for (int k = 0; k < count; k++) sum += head.sums[(first + k) * W + i % W];
    parts[(sample * 3 + of) * COLUMNS + column + i % W] = sum;
  }
}
