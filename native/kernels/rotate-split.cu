// Rows [q | k | v] of H heads of W columns, [B, N, 3, H, W], to q, k, v [B, N, H, W] each: the bias is added and pairs
// (c, c + W/2) of q and k are turned by the angle of the row's place n. A thread keeps one place and V pairs and walks over
// the batch, so angles and biases stay in registers. Bytes a row: 6 H W elements, either way.
#define HALF (W / 2)
#define PAIRS (HALF / V)
#define UNITS (3 * H * PAIRS)
#define COLUMNS (H * W)

/// V elements, 2 to 8.
struct alignas(V * ELEMENT_BITS / 8) Few {
  Element x[V];
};
__device__ __forceinline__ float widen(Element x) {
#if ELEMENT_BITS == 16
  return __uint_as_float(static_cast<unsigned>(x) << 16);
#else
  return x;
#endif
}
__device__ __forceinline__ Element narrow(float x) {
#if ELEMENT_BITS == 16
  return static_cast<Element>(packPair(x, 0.0f) & 0xffffu);
#else
  return x;
#endif
}

struct Place {
  int part, column;  // 0, 1, 2 for q, k, v; the first of the pair's two groups
  float cosine[V], sine[V];
};
__device__ __forceinline__ Place placeOf(int unit, int n, const float* cosine, const float* sine) {
  Place place;
  place.part = unit / (H * PAIRS);
  const int head = unit / PAIRS % H, pair = unit % PAIRS;
  place.column = head * W + pair * V;
#pragma unroll
  for (int k = 0; k < V; k++) {
    place.cosine[k] = place.part < 2 ? cosine[n * HALF + pair * V + k] : 1.0f;
    place.sine[k] = place.part < 2 ? sine[n * HALF + pair * V + k] : 0.0f;
  }
  return place;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    rotate_split(const Element* __restrict__ in, const Vector* __restrict__ bias, const float* __restrict__ cosine,
                 const float* __restrict__ sine, Element* __restrict__ q, Element* __restrict__ k, Element* __restrict__ v,
                 int batch, int places) {
  const int unit = blockIdx.z * blockDim.x + threadIdx.x, n = blockIdx.x;
  if (unit >= UNITS) return;
  const Place place = placeOf(unit, n, cosine, sine);
  Element* out = place.part == 0 ? q : place.part == 1 ? k : v;
  float low[V], high[V];
#pragma unroll
  for (int i = 0; i < V; i++) {
    low[i] = vectorAt(bias, place.part * COLUMNS + place.column + i);
    high[i] = vectorAt(bias, place.part * COLUMNS + place.column + HALF + i);
  }
#pragma unroll 2
  for (int b = blockIdx.y * blockDim.y + threadIdx.y; b < batch; b += gridDim.y * blockDim.y) {
    const long long row = static_cast<long long>(b) * places + n;
    const Element* from = in + (row * 3 + place.part) * COLUMNS + place.column;
    const Few first = *reinterpret_cast<const Few*>(from), second = *reinterpret_cast<const Few*>(from + HALF);
    Few turnedFirst, turnedSecond;
#pragma unroll
    for (int i = 0; i < V; i++) {
      const float a = widen(first.x[i]) + low[i], c = widen(second.x[i]) + high[i];
      turnedFirst.x[i] = narrow(a * place.cosine[i] - c * place.sine[i]);
      turnedSecond.x[i] = narrow(a * place.sine[i] + c * place.cosine[i]);
    }
    Element* to = out + row * COLUMNS + place.column;
    *reinterpret_cast<Few*>(to) = turnedFirst;
    *reinterpret_cast<Few*>(to + HALF) = turnedSecond;
  }
}

/// Rows [q | k | v] whose bias is added already, where they lie: q and k are turned, v is not touched. Bytes a row: 4 H W elements.
extern "C" __global__ void __launch_bounds__(THREADS)
    rotate_within(const float* __restrict__ cosine, const float* __restrict__ sine, Element* __restrict__ all, int batch, int places) {
  const int unit = blockIdx.z * blockDim.x + threadIdx.x, n = blockIdx.x;
  if (unit >= UNITS / 3 * 2) return;
  const Place place = placeOf(unit, n, cosine, sine);
#pragma unroll 2
  for (int b = blockIdx.y * blockDim.y + threadIdx.y; b < batch; b += gridDim.y * blockDim.y) {
    Element* at = all + ((static_cast<long long>(b) * places + n) * 3 + place.part) * COLUMNS + place.column;
    const Few first = *reinterpret_cast<const Few*>(at), second = *reinterpret_cast<const Few*>(at + HALF);
    Few turnedFirst, turnedSecond;
#pragma unroll
    for (int i = 0; i < V; i++) {
      const float a = widen(first.x[i]), c = widen(second.x[i]);
      turnedFirst.x[i] = narrow(a * place.cosine[i] - c * place.sine[i]);
      turnedSecond.x[i] = narrow(a * place.sine[i] + c * place.cosine[i]);
    }
    *reinterpret_cast<Few*>(at) = turnedFirst;
    *reinterpret_cast<Few*>(at + HALF) = turnedSecond;
  }
}

/// The way back; parts: [gridDim.x * gridDim.y * blockDim.y, 3 COLUMNS], the bias's gradient.
extern "C" __global__ void __launch_bounds__(THREADS)
    rotate_split_backward(const Element* __restrict__ q, const Element* __restrict__ k, const Element* __restrict__ v,
                          const float* __restrict__ cosine, const float* __restrict__ sine, Element* __restrict__ out,
                          float* __restrict__ parts, int batch, int places) {
  const int unit = blockIdx.z * blockDim.x + threadIdx.x, n = blockIdx.x;
  if (unit >= UNITS) return;
  const Place place = placeOf(unit, n, cosine, sine);
  const Element* in = place.part == 0 ? q : place.part == 1 ? k : v;
  float low[V] = {}, high[V] = {};
#pragma unroll 2
  for (int b = blockIdx.y * blockDim.y + threadIdx.y; b < batch; b += gridDim.y * blockDim.y) {
    const long long row = static_cast<long long>(b) * places + n;
    const Element* from = in + row * COLUMNS + place.column;
    const Few first = *reinterpret_cast<const Few*>(from), second = *reinterpret_cast<const Few*>(from + HALF);
    Few turnedFirst, turnedSecond;
#pragma unroll
    for (int i = 0; i < V; i++) {
      const float a = widen(first.x[i]), c = widen(second.x[i]);
      const float da = a * place.cosine[i] + c * place.sine[i], dc = c * place.cosine[i] - a * place.sine[i];
      low[i] += da;
      high[i] += dc;
      turnedFirst.x[i] = narrow(da);
      turnedSecond.x[i] = narrow(dc);
    }
    Element* to = out + (row * 3 + place.part) * COLUMNS + place.column;
    *reinterpret_cast<Few*>(to) = turnedFirst;
    *reinterpret_cast<Few*>(to + HALF) = turnedSecond;
  }
  const long long part = (static_cast<long long>(blockIdx.x) * gridDim.y + blockIdx.y) * blockDim.y + threadIdx.y;
  float* sums = parts + part * 3 * COLUMNS + place.part * COLUMNS + place.column;
#pragma unroll
  for (int i = 0; i < V; i++) {
    sums[i] = low[i];
    sums[HALF + i] = high[i];
  }
}
