// Planes [B, 3, T, H, W] float32 cut into boxes of Q x P x P, [B, N, 3 Q P P], and put together again; boxes in the order of
// (time, row, column). P is a multiple of 8, so eight neighbours of a box are neighbours in a plane. Or cut from bytes
// [B, T, H, W, 3]. Bytes a number: 4 and an element, either way; from bytes 1 and an element.
#include "bytes.h"
#define BOX (3 * Q * P * P)

/// Where the numbers of group g of the boxes, eight or four of them, lie in the planes, and which of the three planes it is.
struct Place {
  long long offset;
  int plane;
};
template <int numbers = 8>
__device__ __forceinline__ Place placeOf(long long g, int t, int h, int w) {
  const int e = static_cast<int>(g % (BOX / numbers)) * numbers;
  const long long box = g / (BOX / numbers);
  const int n = static_cast<int>(box % (t * h * w)), plane = e / (Q * P * P);
  const long long depth = ((box / (t * h * w) * 3 + plane) * t + n / (w * h)) * Q + e / (P * P) % Q;
  const long long row = (depth * h + n / w % h) * P + e / P % P;
  return {(row * w + n % w) * P + e % P, plane};
}

extern "C" __global__ void __launch_bounds__(256)
    cut_boxes(const float* __restrict__ planes, Element* __restrict__ boxes, int groups, int t, int h, int w) {
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    float x[8];
    loadFloats(planes + placeOf(g, t, h, w).offset, x);
    store(boxes + static_cast<long long>(g) * 8, pack(x));
  }
}

/// Planes of elements: a copy.
extern "C" __global__ void __launch_bounds__(256)
    cut_elements(const Element* __restrict__ planes, Element* __restrict__ boxes, int groups, int t, int h, int w) {
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256)
    store(boxes + static_cast<long long>(g) * 8, load(planes + placeOf(g, t, h, w).offset));
}

/// A group is eight places of a box, all three planes of them: what is written lies together, a plane at a time.
extern "C" __global__ void __launch_bounds__(256)
    cut_bytes(const unsigned char* __restrict__ bytes, Element* __restrict__ boxes, int groups, int t, int h, int w) {
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const int e = g % (Q * P * P / 8) * 8, box = g / (Q * P * P / 8);
    const int column = box % w, row = box / w % h, time = box / (w * h) % t, b = box / (w * h * t);
    const long long depth = (static_cast<long long>(b) * t + time) * Q + e / (P * P);
    const long long place = ((depth * h + row) * P + e / P % P) * w * P + column * P + e % P;
    float x[3][8];
    loadPlaces(bytes + place * 3, x);
#pragma unroll
    for (int plane = 0; plane < 3; plane++) store(boxes + static_cast<long long>(box) * BOX + plane * Q * P * P + e, pack(x[plane]));
  }
}

extern "C" __global__ void __launch_bounds__(256)
    join_boxes(const Element* __restrict__ boxes, const Vector* __restrict__ bias, float* __restrict__ planes, int groups, int t, int h, int w) {
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const Place place = placeOf<4>(g, t, h, w);
    const float b = vectorAt(bias, place.plane);
    float x[4];
    unpackHalf(boxes + static_cast<long long>(g) * 4, x);
#pragma unroll
    for (int k = 0; k < 4; k++) x[k] += b;
    storeFour(planes + place.offset, x);
  }
}

/// parts: [gridDim.x, 3], the bias's gradient.
extern "C" __global__ void __launch_bounds__(256)
    join_boxes_backward(const float* __restrict__ gradPlanes, Element* __restrict__ gradBoxes, float* __restrict__ parts, int groups, int t, int h, int w) {
  float sums[3] = {};
  for (int g = blockIdx.x * 256 + threadIdx.x; g < groups; g += gridDim.x * 256) {
    const Place place = placeOf(g, t, h, w);
    float x[8];
    loadFloats(gradPlanes + place.offset, x);
    store(gradBoxes + static_cast<long long>(g) * 8, pack(x));
    float total = 0;
#pragma unroll
    for (int k = 0; k < 8; k++) total += x[k];
#pragma unroll
    for (int plane = 0; plane < 3; plane++) sums[plane] += plane == place.plane ? total : 0.0f;
  }
  __shared__ float shared[8][3];
#pragma unroll
  for (int plane = 0; plane < 3; plane++) {
    const float total = laneSum<32>(sums[plane]);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32][plane] = total;
  }
  __syncthreads();
  if (threadIdx.x < 3) {
    float total = 0;
    for (int i = 0; i < 8; i++) total += shared[i][threadIdx.x];
    parts[blockIdx.x * 3 + threadIdx.x] = total;
  }
}
