// What every kernel shares: groups of eight elements, float32 arithmetic, sums over lanes. Prepended to each source; no
// CUDA header is needed. ELEMENT_BITS is 16 (bfloat16) or 32 (float32); VECTOR_BITS the same, of a layer's vectors.
#ifndef EMULATED
__device__ __forceinline__ unsigned packPair(float low, float high) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
#endif

#ifndef ELEMENT_BITS
#define ELEMENT_BITS 16
#endif

#ifndef VECTOR_BITS
#define VECTOR_BITS 32
#endif

/// Eight bfloat16 as they lie in memory.
__device__ __forceinline__ void unpackWords(const uint4& bits, float* x) {
  const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    x[2 * i] = __uint_as_float(words[i] << 16);
    x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

#if ELEMENT_BITS == 16
typedef unsigned short Element;
/// Eight elements as they lie in memory: 16 bytes.
struct Pack {
  uint4 bits;
};
__device__ __forceinline__ Pack load(const Element* from) { return {*reinterpret_cast<const uint4*>(from)}; }
__device__ __forceinline__ void store(Element* to, const Pack& pack) { *reinterpret_cast<uint4*>(to) = pack.bits; }
__device__ __forceinline__ void unpack(const Pack& pack, float* x) { unpackWords(pack.bits, x); }
/// Four of them: half a pack.
__device__ __forceinline__ void unpackHalf(const Element* from, float* x) {
  const uint2 bits = *reinterpret_cast<const uint2*>(from);
  x[0] = __uint_as_float(bits.x << 16), x[1] = __uint_as_float(bits.x & 0xffff0000u);
  x[2] = __uint_as_float(bits.y << 16), x[3] = __uint_as_float(bits.y & 0xffff0000u);
}
__device__ __forceinline__ Pack pack(const float* x) {
  return {{packPair(x[0], x[1]), packPair(x[2], x[3]), packPair(x[4], x[5]), packPair(x[6], x[7])}};
}
#else
typedef float Element;
struct Pack {
  float4 low, high;
};
__device__ __forceinline__ Pack load(const Element* from) {
  return {reinterpret_cast<const float4*>(from)[0], reinterpret_cast<const float4*>(from)[1]};
}
__device__ __forceinline__ void store(Element* to, const Pack& pack) {
  reinterpret_cast<float4*>(to)[0] = pack.low;
  reinterpret_cast<float4*>(to)[1] = pack.high;
}
__device__ __forceinline__ void unpack(const Pack& pack, float* x) {
  x[0] = pack.low.x, x[1] = pack.low.y, x[2] = pack.low.z, x[3] = pack.low.w;
  x[4] = pack.high.x, x[5] = pack.high.y, x[6] = pack.high.z, x[7] = pack.high.w;
}
__device__ __forceinline__ void unpackHalf(const Element* from, float* x) {
  const float4 all = *reinterpret_cast<const float4*>(from);
  x[0] = all.x, x[1] = all.y, x[2] = all.z, x[3] = all.w;
}
__device__ __forceinline__ Pack pack(const float* x) { return {{x[0], x[1], x[2], x[3]}, {x[4], x[5], x[6], x[7]}}; }
#endif

__device__ __forceinline__ void loadFloats(const float* from, float* x) {
  const float4 low = reinterpret_cast<const float4*>(from)[0], high = reinterpret_cast<const float4*>(from)[1];
  x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
  x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
}
__device__ __forceinline__ void storeFloats(float* to, const float* x) {
  reinterpret_cast<float4*>(to)[0] = make_float4(x[0], x[1], x[2], x[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(x[4], x[5], x[6], x[7]);
}

/// Four floats a lane, side by side with the next lane's: eight would go in two turns, each to half of every 32 bytes.
__device__ __forceinline__ void storeFour(float* to, const float* x) { *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]); }
__device__ __forceinline__ void loadFour(const float* from, float* x) {
  const float4 all = *reinterpret_cast<const float4*>(from);
  x[0] = all.x, x[1] = all.y, x[2] = all.z, x[3] = all.w;
}

#if VECTOR_BITS == 16
typedef unsigned short Vector;
__device__ __forceinline__ void loadVector(const Vector* from, float* x) { unpackWords(*reinterpret_cast<const uint4*>(from), x); }
__device__ __forceinline__ float vectorAt(const Vector* from, int i) { return __uint_as_float(static_cast<unsigned>(from[i]) << 16); }
#else
typedef float Vector;
__device__ __forceinline__ void loadVector(const Vector* from, float* x) { loadFloats(from, x); }
__device__ __forceinline__ float vectorAt(const Vector* from, int i) { return from[i]; }
#endif

/// The sum over groups of `width` neighbouring lanes, in each of them.
template <int width>
__device__ __forceinline__ float laneSum(float x) {
#pragma unroll
  for (int offset = width / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

/// The largest likewise.
template <int width>
__device__ __forceinline__ float laneMax(float x) {
#pragma unroll
  for (int offset = width / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

/// The sum over a block of 256 threads, written by the first of them.
__device__ __forceinline__ void storeSum(float total, float* to) {
  __shared__ float shared[8];
  total = laneSum<32>(total);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < 8; i++) total += shared[i];
    *to = total;
  }
}
