// Numbers of 8 bits, e4m3: 4 bits of exponent, 3 of fraction, at most 448. Not a kernel.
#ifndef EMULATED
__device__ __forceinline__ unsigned quarterPair(float low, float high) {
  unsigned short pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  return pair;
}
#endif

constexpr float largestQuarter = 448.0f;
/// What a row's largest number counts as at least, so that a row of zeros stays one.
constexpr float leastLargest = 1e-12f;

/// Eight numbers times a factor, to memory aligned to 8 bytes.
__device__ __forceinline__ void storeQuarters(unsigned char* to, const float* x, float factor) {
  unsigned words[2];
#pragma unroll
  for (int i = 0; i < 2; i++)
    words[i] = quarterPair(x[4 * i] * factor, x[4 * i + 1] * factor) | quarterPair(x[4 * i + 2] * factor, x[4 * i + 3] * factor) << 16;
  *reinterpret_cast<uint2*>(to) = {words[0], words[1]};
}
