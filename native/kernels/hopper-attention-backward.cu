// The way back through hopper-attention.cu: the gradient of the product [q | k | v], turned back, and of its bias. Each block goes
// through heads of samples. Four of its warps load the next one while eight multiply, four and four with 64 rows at a time:
// first each its keys with all queries, then each its queries with all keys. Scores are made twice, so that they and their gradients
// go from product to product in registers, and no warp waits for another's. Bytes a row: 8 H W elements.
#include "heads.h"

#define MULTIPLIERS 256  // threads
#define LOADERS 128
#define SLOTS 3          // for two parts of a head, [ROWS, 64] each: keys and values, or queries and the output's gradient
#define SLOT (2 * ROWS * W)
enum Barrier { isFull = 1, isEmpty = isFull + SLOTS, hasSums = isEmpty + SLOTS };

struct Memory {
  Element* slots;
  float *logSums, *along;  // [ROWS] of a head, and of the next; along: the gradient's product with the output
  float* columns;          // [warps, 3, 64] sums of a head, and of the next
};
__device__ __forceinline__ Memory memoryOf(unsigned char* bytes, int head) {
  Element* slots = reinterpret_cast<Element*>(bytes);
  float *logSums = reinterpret_cast<float*>(slots + SLOTS * SLOT) + head % 2 * 2 * ROWS, *columns = logSums - head % 2 * 2 * ROWS + 4 * ROWS;
  return {slots, logSums, logSums + ROWS, columns + head % 2 * MULTIPLIERS / 32 * 3 * W};
}

struct Source {
  const Element *gradOut, *in;
  const Vector* bias;
  const float *cosine, *sine;
  const Element* out;
  const float* logSums;
};
/// Of a sample and from a head's column on.
__device__ __forceinline__ Source headOf(Source from, long long head) {
  const long long sample = head / H;
  const int column = head % H * W;
  from.gradOut += sample * N * COLUMNS + column, from.out += sample * N * COLUMNS + column;
  from.in += sample * N * 3 * COLUMNS + column, from.bias += column, from.logSums += head * N;
  return from;
}

__device__ __forceinline__ void loadKeys(const Source& from, int thread, Element* k, Element* v) {
  const int group = thread % 4, c = 8 * group;
  const Pairs ofKeys = loadBias(from.bias + COLUMNS + c), ofValues = loadBias(from.bias + 2 * COLUMNS + c);
#pragma unroll 2
  for (int n = firstRow(thread); n < ROWS; n += LOADERS / 4) {
    Pairs key = {}, value = {};
    if (n < N) {
      const Element* row = from.in + n * 3 * COLUMNS + c;
      const Pairs angles = loadAngles(from.cosine, from.sine, n * HALF + c);
      key = loadPairs(row + COLUMNS), value = loadPairs(row + 2 * COLUMNS);
      addBias(key, ofKeys), addBias(value, ofValues), rotate(key, angles);
    }
    storePairs(k, n, group, key), storePairs(v, n, group, value);
  }
}

__device__ __forceinline__ void loadQueries(const Source& from, int thread, Element* q, Element* g, const Memory& memory) {
  const int group = thread % 4, c = 8 * group;
  const Pairs ofQueries = loadBias(from.bias + c);
#pragma unroll 2
  for (int n = firstRow(thread); n < ROWS; n += LOADERS / 4) {
    Pairs query = {}, grad = {};
    float logSum = 0, along = 0;
    if (n < N) {
      const Pairs angles = loadAngles(from.cosine, from.sine, n * HALF + c);
      query = loadPairs(from.in + n * 3 * COLUMNS + c), grad = loadPairs(from.gradOut + n * COLUMNS + c);
      const Pairs out = loadPairs(from.out + n * COLUMNS + c);
      logSum = from.logSums[n];
      addBias(query, ofQueries), rotate(query, angles);
#pragma unroll
      for (int i = 0; i < 8; i++) along += grad.low[i] * out.low[i] + grad.high[i] * out.high[i];
    }
    along = laneSum<4>(along);
    storePairs(q, n, group, query), storePairs(g, n, group, grad);
    if (group == 0) memory.logSums[n] = logSum, memory.along[n] = along;
  }
}

/// Two sums of two lanes to one each.
__device__ __forceinline__ void halve(float& low, float high, int lane, int bit) {
  const bool isUpper = lane & bit;
  const float got = __shfl_xor_sync(0xffffffffu, isUpper ? low : high, bit);
  low = (isUpper ? high : low) + got;
}
/// 16 columns' sums of a lane, two of each of eight groups, over a warp's rows, to columns 2 lane and 2 lane + 1.
__device__ __forceinline__ void addColumns(float (&sums)[16], int lane, float* columns) {
#pragma unroll
  for (int i = 0; i < 8; i++) halve(sums[i], sums[i + 8], lane, 16);
#pragma unroll
  for (int i = 0; i < 4; i++) halve(sums[i], sums[i + 4], lane, 8);
#pragma unroll
  for (int i = 0; i < 2; i++) halve(sums[i], sums[i + 2], lane, 4);
  columns[2 * lane] += sums[0], columns[2 * lane + 1] += sums[1];
}

/// A warp's 16 rows of a part's gradient, times `scale` and turned back, to [N, 3, H, 64] and to the sums of columns.
template <bool isTurned>
__device__ __forceinline__ void storeRows(Sums& rows, int row, int lane, const Source& from, float scale, Element* to, float* columns) {
  float sums[16] = {};
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int n = row + 8 * half + lane / 4;
    if (n < N)
#pragma unroll
      for (int t = 0; t < 4; t++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float &low = rows[t][2 * half + i], &high = rows[t + 4][2 * half + i];
          low *= scale, high *= scale;
          if (isTurned) {
            const int at = n * HALF + 8 * t + 2 * (lane % 4) + i;
            const float a = low, b = high, x = from.cosine[at], y = from.sine[at];
            low = a * x + b * y, high = b * x - a * y;
          }
          sums[2 * t + i] += low, sums[2 * t + 8 + i] += high;
        }
    storeRow(rows, half, 1.0f, lane, n < N, to + n * 3 * COLUMNS);
  }
  addColumns(sums, lane, columns);
}

struct Parts {
  Element *q, *k, *v, *g;  // [ROWS, 64]; g: the output's gradient
};

/// Gradients of 64 keys and values, a key a row of the scores.
__device__ __forceinline__ void passBackToKeys(const Parts& head, const Memory& memory, int row, int lane, float scale, Sums& gradKeys,
                                               Sums& gradValues) {
#pragma unroll 1
  for (int query = 0; query < ROWS; query += 64) {
    Sums scores, grads;
    begin();
    multiplyRows(scores, tileAt(head.k, row), tileAt(head.q, query));
    commit();
    multiplyRows(grads, tileAt(head.v, row), tileAt(head.g, query));
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
    multiplyAdd(gradValues, shares, tileAt(head.g, query));
    commit();
    wait<1>();
    settle(grads);
#pragma unroll
    for (int t = 0; t < 8; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) grads[t][i] = scores[t][i] * (grads[t][i] - along[8 * t + i % 2]);
    toOperands(changes, grads);
    begin();
    multiplyAdd(gradKeys, changes, tileAt(head.q, query));
    commit();
  }
  wait<0>();
  settle(gradKeys), settle(gradValues);
}

/// Gradients of 64 queries, a query a row of the scores. Keys after N are zeros, so whatever shares they get, they give nothing.
__device__ __forceinline__ void passBackToQueries(const Parts& head, const Memory& memory, int row, int lane, float scale, Sums& gradQueries) {
  const int own = row + threadIdx.x / 32 % 4 * 16 + lane / 4;
  const float logSums[2] = {memory.logSums[own], memory.logSums[own + 8]}, along[2] = {memory.along[own], memory.along[own + 8]};
#pragma unroll 1
  for (int key = 0; key < ROWS; key += 64) {
    Sums scores, grads;
    begin();
    multiplyRows(scores, tileAt(head.q, row), tileAt(head.k, key));
    commit();
    multiplyRows(grads, tileAt(head.g, row), tileAt(head.v, key));
    commit();
    wait<1>();
    settle(scores);
#pragma unroll
    for (int t = 0; t < 8; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) scores[t][i] = power2(scores[t][i] * (scale * LOG2E) - logSums[i / 2]);
    wait<0>();
    settle(grads);
#pragma unroll
    for (int t = 0; t < 8; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) grads[t][i] = scores[t][i] * (grads[t][i] - along[i / 2]);
    Operand changes[4];
    toOperands(changes, grads);
    begin();
    multiplyAdd(gradQueries, changes, tileAt(head.k, key));
    commit();
  }
  wait<0>();
  settle(gradQueries);
}

/// gradIn and parts from the head's column on.
__device__ __forceinline__ void passBack(const Parts& head, const Memory& memory, const Source& from, float scale, Element* gradIn, float* parts) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = warp / 4 * 64, own = warp % 4 * 16;
  float* columns = memory.columns + warp * 3 * W;
#pragma unroll
  for (int i = 0; i < 6; i++) columns[i / 2 * W + 2 * lane + i % 2] = 0;  // a lane's own in addColumns
  for (int row = first; row < ROWS; row += MULTIPLIERS / 2) {
    Sums gradKeys = {}, gradValues = {};
    passBackToKeys(head, memory, row, lane, scale, gradKeys, gradValues);
    storeRows<true>(gradKeys, row + own, lane, from, scale, gradIn + COLUMNS, columns + W);
    storeRows<false>(gradValues, row + own, lane, from, 1.0f, gradIn + 2 * COLUMNS, columns + 2 * W);
  }
  for (int row = first; row < ROWS; row += MULTIPLIERS / 2) {
    Sums gradQueries = {};
    passBackToQueries(head, memory, row, lane, scale, gradQueries);
    storeRows<true>(gradQueries, row + own, lane, from, scale, gradIn, columns);
  }
}

/// parts [B, 3, H, 64]: the bias's gradient of each sample. scale: 1 / 8. heads: of all samples.
extern "C" __global__ void __launch_bounds__(MULTIPLIERS + LOADERS, 1)
    attention_backward(const Element* __restrict__ gradOut, const Element* __restrict__ in, const Vector* __restrict__ bias,
                       const float* __restrict__ cosine, const float* __restrict__ sine, const Element* __restrict__ out,
                       const float* __restrict__ logSums, Element* __restrict__ gradIn, float* __restrict__ parts, float scale, int heads) {
  SHARED_MEMORY(bytes);
  const Source all = {gradOut, in, bias, cosine, sine, out, logSums};
  const int everyone = MULTIPLIERS + LOADERS, count = (heads - static_cast<int>(blockIdx.x) + gridDim.x - 1) / gridDim.x;
  if (threadIdx.x >= MULTIPLIERS) {
    keepRegisters<104>();
    for (int i = 0; i < 2 * count; i++) {  // keys and values of a head, then queries and gradient, then the next head's
      const Memory memory = memoryOf(bytes, i / 2);
      const Source from = headOf(all, blockIdx.x + i / 2 * static_cast<long long>(gridDim.x));
      Element* slot = memory.slots + i % SLOTS * SLOT;
      if (i >= SLOTS) barrierSync(isEmpty + i % SLOTS, everyone);
      if (i % 2 == 0) loadKeys(from, threadIdx.x - MULTIPLIERS, slot, slot + ROWS * W);
      else loadQueries(from, threadIdx.x - MULTIPLIERS, slot, slot + ROWS * W, memory);
      showStores();
      barrierArrive(isFull + i % SLOTS, everyone);
    }
  } else {
    takeRegisters<200>();
    for (int i = 0; i < count; i++) {
      const Memory memory = memoryOf(bytes, i);
      const long long head = blockIdx.x + i * static_cast<long long>(gridDim.x), sample = head / H;
      const int column = head % H * W, first = 2 * i % SLOTS, second = (2 * i + 1) % SLOTS;
      Element *keys = memory.slots + first * SLOT, *queries = memory.slots + second * SLOT;
      barrierSync(isFull + first, everyone), barrierSync(isFull + second, everyone);
      passBack({queries, keys, keys + ROWS * W, queries + ROWS * W}, memory, headOf(all, head), scale, gradIn + sample * N * 3 * COLUMNS + column, parts);
      if (2 * i + SLOTS < 2 * count) barrierArrive(isEmpty + first, everyone);
      if (2 * i + 1 + SLOTS < 2 * count) barrierArrive(isEmpty + second, everyone);
      barrierSync(hasSums, MULTIPLIERS);
      for (int c = threadIdx.x; c < 3 * W; c += MULTIPLIERS) {
        float sum = 0;
        for (int warp = 0; warp < MULTIPLIERS / 32; warp++) sum += memory.columns[warp * 3 * W + c];
        parts[(sample * 3 + c / W) * COLUMNS + column + c % W] = sum;
      }
    }
  }
}
