// The way back through attention.cu: the gradient of the product [q | k | v], turned back, and of its bias. A block goes
// through heads of samples. Four of its warps load the next one while eight multiply, four and four with 64 rows at a time:
// first each its keys with all queries, then each its queries with all keys. Scores are made twice, so that they and their gradients
// go from product to product in registers, and no group waits for another. Bytes a row: 8 H W elements.
#include "heads.h"

#define GROUPS 2   // of four warps that multiply
#define LOADERS 128  // threads
#define TILES ((ROWS / 64 + GROUPS - 1) / GROUPS)  // of 64 rows, of a group

struct Memory {
  Element *q, *grad;              // [ROWS, W]; grad: the output's
  Element *k[2], *v[2];           // of a head, and of the next
  float *logSums, *along;         // [ROWS]; along: the gradient's product with the output
  float* columns;                 // [4 GROUPS, 3, W], sums of each warp
  Gate *hasQueries, *needsQueries;  // the first a block of 64
  Gate *hasKeys, *needsKeys;        // two each, of k[0] and k[1]
};
__device__ __forceinline__ Memory memoryIn(unsigned char* bytes) {
  Memory memory;
  memory.q = reinterpret_cast<Element*>(bytes), memory.grad = memory.q + ROWS * W;
  for (int i = 0; i < 2; i++) memory.k[i] = memory.q + (2 + 2 * i) * ROWS * W, memory.v[i] = memory.k[i] + ROWS * W;
  memory.logSums = reinterpret_cast<float*>(memory.q + 6 * ROWS * W), memory.along = memory.logSums + ROWS;
  memory.columns = memory.along + ROWS;
  memory.hasQueries = reinterpret_cast<Gate*>(memory.columns + 4 * GROUPS * 3 * W), memory.needsQueries = memory.hasQueries + ROWS / 64;
  memory.hasKeys = memory.needsQueries + 1, memory.needsKeys = memory.hasKeys + 2;
  return memory;
}

struct Source {
  const Element *gradOut, *in;
  const Vector* bias;
  const float *cosine, *sine;
  const Element* out;
  const float* logSums;
};
/// Of a sample and from a head's column on.
__device__ __forceinline__ Source headOf(Source from, int head) {
  const long long sample = head / H;
  const int column = head % H * W;
  from.gradOut += sample * N * COLUMNS + column, from.out += sample * N * COLUMNS + column;
  from.in += sample * N * 3 * COLUMNS + column, from.bias += column, from.logSums += static_cast<long long>(head) * N;
  return from;
}

__device__ __forceinline__ void loadKeys(const Source& from, int thread, Element* k, Element* v) {
  const int group = thread % 4, c = 8 * group;
  const Pairs ofKeys = loadBias(from.bias + COLUMNS + c), ofValues = loadBias(from.bias + 2 * COLUMNS + c);
#pragma unroll 2
  for (int i = 0; i < ROWS; i += LOADERS / 4) {
    const int n = i + firstRow(thread);
    Pairs key = {}, value = {};
    if (isRow(n)) {
      const Element* row = from.in + n * 3 * COLUMNS + c;
      const Pairs angles = loadAngles(from.cosine, from.sine, n * HALF + c);
      key = loadPairs(row + COLUMNS), value = loadPairs(row + 2 * COLUMNS);
      addBias(key, ofKeys), addBias(value, ofValues), rotate(key, angles);
    }
    storePairs(k, n, group, key), storePairs(v, n, group, value);
  }
}

/// A block of 64 queries, with their outputs' gradients.
__device__ __forceinline__ void loadQueries(const Source& from, int thread, int first, const Memory& memory) {
  const int group = thread % 4, c = 8 * group;
  const Pairs ofQueries = loadBias(from.bias + c);
#pragma unroll
  for (int i = 0; i < 64; i += LOADERS / 4) {
    const int n = first + i + firstRow(thread);
    Pairs query = {}, grad = {};
    float logSum = 0, along = 0;
    if (isRow(n)) {
      const Pairs angles = loadAngles(from.cosine, from.sine, n * HALF + c);
      query = loadPairs(from.in + n * 3 * COLUMNS + c), grad = loadPairs(from.gradOut + n * COLUMNS + c);
      const Pairs out = loadPairs(from.out + n * COLUMNS + c);
      logSum = from.logSums[n];
      addBias(query, ofQueries), rotate(query, angles);
#pragma unroll
      for (int k = 0; k < 8; k++) along += grad.low[k] * out.low[k] + grad.high[k] * out.high[k];
    }
    along = laneSum<4>(along);
    storePairs(memory.q, n, group, query), storePairs(memory.grad, n, group, grad);
    if (group == 0) memory.logSums[n] = logSum, memory.along[n] = along;
  }
}

/// The block's heads in turn, each as soon as its place is free.
__device__ __forceinline__ void loadHeads(const Source& all, const Memory& memory, int thread, int heads) {
  for (int head = blockIdx.x, i = 0; head < heads; head += gridDim.x, i++) {
    const Source from = headOf(all, head);
    if (i >= 2) passThrough(memory.needsKeys + i % 2, i / 2 - 1);
    loadKeys(from, thread, memory.k[0] + i % 2 * 2 * ROWS * W, memory.v[0] + i % 2 * 2 * ROWS * W);
    showStores();
    arriveAt(memory.hasKeys + i % 2);
    if (i >= 1) passThrough(memory.needsQueries, i - 1);
    for (int block = 0; block < ROWS / 64; block++) {
      loadQueries(from, thread, 64 * block, memory);
      showStores();
      arriveAt(memory.hasQueries + block);
    }
  }
}

/// Gradients of 64 keys and values, a key a row of the scores; to be waited for. Queries are waited for in their round.
__device__ __forceinline__ void passBackToKeys(const Memory& memory, const Element* k, const Element* v, int round, int lane, float scale,
                                               Sums& gradKeys, Sums& gradValues) {
#pragma unroll 1
  for (int query = 0; query < ROWS; query += 64) {
    passThrough(memory.hasQueries + query / 64, round);
    Sums scores, grads;
    begin();
    multiplyRows(scores, tileAt(k, 0), tileAt(memory.q, query));
    commit();
    multiplyRows(grads, tileAt(v, 0), tileAt(memory.grad, query));
    commit();
    wait<1>();
    settle(scores);
    const float *logSums = memory.logSums + query + 2 * (lane % 4), *along = memory.along + query + 2 * (lane % 4);
#pragma unroll
    for (int t = 0; t < 8; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) scores[t][i] = power2(scores[t][i] * (scale * LOG2E) - logSums[8 * t + i % 2]);
    Operand shares[4], changes[4];
    toOperands(shares, scores);
    begin();
    multiplyAdd(gradValues, shares, tileAt(memory.grad, query));
    commit();
    wait<1>();
    settle(grads);
#pragma unroll
    for (int t = 0; t < 8; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) grads[t][i] = scores[t][i] * (grads[t][i] - along[8 * t + i % 2]);
    toOperands(changes, grads);
    begin();
    multiplyAdd(gradKeys, changes, tileAt(memory.q, query));
    commit();
  }
}

/// A warp's 16 queries, with their outputs' gradients.
struct Queries {
  Operand rows[4], grads[4];
  float logSums[2], along[2];  // of row lane / 4, and of the one eight below
};
__device__ __forceinline__ Queries queriesAt(const Memory& memory, int row, int lane) {
  Queries own;
  loadOperands(own.rows, memory.q, row, lane), loadOperands(own.grads, memory.grad, row, lane);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int n = row + 8 * half + lane / 4;
    own.logSums[half] = memory.logSums[n], own.along[half] = memory.along[n];
  }
  return own;
}

/// Gradients of 64 queries, a query a row of the scores; to be waited for.
__device__ __forceinline__ void passBackToQueries(const Queries& own, const Element* k, const Element* v, int lane, float scale, Sums& gradQueries) {
#pragma unroll 1
  for (int key = 0; key < ROWS; key += 64) {
    Sums scores, grads;
    begin();
    multiplyRows(scores, own.rows, tileAt(k, key));
    commit();
    multiplyRows(grads, own.grads, tileAt(v, key));
    commit();
    wait<1>();
    settle(scores);
#pragma unroll
    for (int t = 0; t < 8; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const bool isKey = isRow(key + 8 * t + 2 * (lane % 4) + i % 2);
        scores[t][i] = isKey ? power2(scores[t][i] * (scale * LOG2E) - own.logSums[i / 2]) : 0.0f;
      }
    wait<0>();
    settle(grads);
#pragma unroll
    for (int t = 0; t < 8; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) grads[t][i] = scores[t][i] * (grads[t][i] - own.along[i / 2]);
    Operand changes[4];
    toOperands(changes, grads);
    begin();
    multiplyAdd(gradQueries, changes, tileAt(k, key));
    commit();
  }
}

/// A group's part of the block's round-th head; gradIn and parts from the head's column on.
__device__ __forceinline__ void passBack(const Memory& memory, const Source& from, int round, float scale, Element* gradIn, float* parts) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = warp / 4 * 64, own = warp % 4 * 16;
  const Element *k = memory.k[0] + round % 2 * 2 * ROWS * W, *v = k + ROWS * W;
  float* columns = memory.columns + warp * 3 * W;
#pragma unroll
  for (int i = 0; i < 6; i++) columns[i / 2 * W + 2 * lane + i % 2] = 0;  // a lane's own in addColumns
  passThrough(memory.hasKeys + round % 2, round / 2);
  if (first >= ROWS) passThrough(memory.hasQueries, round);  // or it would be ahead, and open the gates for both
  for (int row = first; row < ROWS; row += 64 * GROUPS) {
    Sums gradKeys = {}, gradValues = {};
    passBackToKeys(memory, k + row * W, v + row * W, round, lane, scale, gradKeys, gradValues);
    const Angles angles = anglesOf(from.cosine, from.sine, row + own, lane);
    wait<0>();
    settle(gradKeys), settle(gradValues);
    storeRows(gradValues, row + own, lane, 1.0f, gradIn + 2 * COLUMNS, columns + 2 * W);
    turnBack(gradKeys, angles);
    storeRows(gradKeys, row + own, lane, scale, gradIn + COLUMNS, columns + W);
  }
#pragma unroll 1
  for (int i = 0; i < TILES; i++) {
    const int row = first + i * 64 * GROUPS;
    const bool isLast = i == TILES - 1;
    if (row >= ROWS) {  // the other group has the last tile of an odd number
      arriveAt(memory.needsQueries), arriveAt(memory.needsKeys + round % 2);
      break;
    }
    const Queries queries = queriesAt(memory, row + own, lane);
    if (isLast) arriveAt(memory.needsQueries);
    Sums gradQueries = {};
    passBackToQueries(queries, k, v, lane, scale, gradQueries);
    const Angles angles = anglesOf(from.cosine, from.sine, row + own, lane);
    wait<0>();
    settle(gradQueries);
    if (isLast) arriveAt(memory.needsKeys + round % 2);
    turnBack(gradQueries, angles);
    storeRows(gradQueries, row + own, lane, scale, gradIn, columns);
  }
  syncGroup(1 + warp / 4);
  for (int i = threadIdx.x % 128; i < 3 * W; i += 128) {
    const float* of = memory.columns + warp / 4 * 4 * 3 * W + i;
    parts[i / W * COLUMNS + i % W] = (of[0] + of[3 * W]) + (of[6 * W] + of[9 * W]);
  }
  syncGroup(1 + warp / 4);
}

/// parts [B, 2, 3, H, 64]: the bias's gradient of each sample, half and half. scale: 1 / 8. heads: of all samples.
extern "C" __global__ void __launch_bounds__(128 * GROUPS + LOADERS, 1)
    attention_backward(const Element* __restrict__ gradOut, const Element* __restrict__ in, const Vector* __restrict__ bias,
                       const float* __restrict__ cosine, const float* __restrict__ sine, const Element* __restrict__ out,
                       const float* __restrict__ logSums, Element* __restrict__ gradIn, float* __restrict__ parts, float scale, int heads) {
  SHARED_MEMORY(bytes);
  const Memory memory = memoryIn(bytes);
  const Source all = {gradOut, in, bias, cosine, sine, out, logSums};
  if (threadIdx.x < ROWS / 64) initGate(memory.hasQueries + threadIdx.x, LOADERS);
  if (threadIdx.x < 2) initGate(memory.hasKeys + threadIdx.x, LOADERS), initGate(memory.needsKeys + threadIdx.x, 128 * GROUPS);
  if (threadIdx.x == 0) initGate(memory.needsQueries, 128 * GROUPS);
  __syncthreads();
  if (threadIdx.x >= 128 * GROUPS) {
    keepRegisters<120>();
    loadHeads(all, memory, threadIdx.x - 128 * GROUPS, heads);
  } else {
    takeRegisters<192>();
    for (int head = blockIdx.x, round = 0; head < heads; head += gridDim.x, round++) {
      const long long sample = head / H;
      const int column = head % H * W;
      passBack(memory, headOf(all, head), round, scale, gradIn + sample * N * 3 * COLUMNS + column,
               parts + (sample * GROUPS + threadIdx.x / 128) * 3 * COLUMNS + column);
    }
  }
}
