// Weighted squared distance of unit vectors: x, y [B, H, W, C] are scaled to length 1 over C, and w (x - y)^2 is summed over
// C and averaged over H W. On the way both are reduced to the largest of each 2 x 2 window (POOLS), what the next level
// reads. LANES lanes share a place, a group of them a window. A place of zeros has unit vector 0 and gradient 0.
// Bytes: x and y once forward (and a quarter of them out); x and y once, a quarter of x, and x out again backward.
#define LANES (C / 8 < 32 ? C / 8 : 32)
#define PACKS (C / (8 * LANES))
#define GROUPS (32 / LANES)
#define WARPS 8
#define TINY 1e-10f

struct Window {
  int row, column;
  bool isThere;
};
__device__ __forceinline__ Window windowAt(int index, int height, int width) {
  const int across = (width + 1) / 2;
  return {2 * (index / across), 2 * (index % across), index < across * ((height + 1) / 2)};
}

/// Place i of the window, 0 to 3 row by row; zeros where the window reaches over the edge.
__device__ __forceinline__ void loadPlace(const Element* from, const Window& window, int i, int height, int width, int lane,
                                          Pack (&packs)[PACKS]) {
  const int row = window.row + i / 2, column = window.column + i % 2;
  const float zeros[8] = {};
  const bool isThere = window.isThere && row < height && column < width;
#pragma unroll
  for (int p = 0; p < PACKS; p++)
    packs[p] = isThere ? load(from + (static_cast<long long>(row) * width + column) * C + 8 * (lane + LANES * p)) : pack(zeros);
}

__device__ __forceinline__ float energyOf(const Pack (&packs)[PACKS]) {
  float energy = 0;
#pragma unroll
  for (int p = 0; p < PACKS; p++) {
    float x[8];
    unpack(packs[p], x);
#pragma unroll
    for (int k = 0; k < 8; k++) energy += x[k] * x[k];
  }
  return laneSum<LANES>(energy);
}
__device__ __forceinline__ float inverseLength(float energy) { return energy > 0 ? 1.0f / (sqrtf(energy) + TINY) : 0.0f; }

/// Writes the largest of each window that is whole, [B, H/2, W/2, C].
__device__ __forceinline__ void storeLargest(Element* to, const Window& window, int height, int width, int lane,
                                             const Pack (&packs)[4][PACKS]) {
  if (!window.isThere || window.row + 1 >= height || window.column + 1 >= width) return;
  Element* place = to + (static_cast<long long>(window.row / 2) * (width / 2) + window.column / 2) * C;
#pragma unroll
  for (int p = 0; p < PACKS; p++) {
    float largest[8];
    unpack(packs[0][p], largest);
#pragma unroll
    for (int i = 1; i < 4; i++) {
      float x[8];
      unpack(packs[i][p], x);
#pragma unroll
      for (int k = 0; k < 8; k++) largest[k] = fmaxf(largest[k], x[k]);
    }
    store(place + 8 * (lane + LANES * p), pack(largest));
  }
}

/// parts [B, gridDim.x]: the distance is their sum.
extern "C" __global__ void __launch_bounds__(32 * WARPS)
    unit_distance(const Element* __restrict__ x, const Element* __restrict__ y, const float* __restrict__ weight,
                  Element* __restrict__ smallX, Element* __restrict__ smallY, float* __restrict__ parts, int height, int width) {
  const int lane = threadIdx.x % LANES, group = threadIdx.x % 32 / LANES, warp = threadIdx.x / 32;
  const long long start = static_cast<long long>(blockIdx.y) * height * width * C;
  const long long smallStart = static_cast<long long>(blockIdx.y) * (height / 2) * (width / 2) * C;
  const int windows = ((height + 1) / 2) * ((width + 1) / 2);
  float total = 0;
  for (int base = (blockIdx.x * WARPS + warp) * GROUPS; base < windows; base += gridDim.x * WARPS * GROUPS) {
    const Window window = windowAt(base + group, height, width);
    Pack packsX[4][PACKS], packsY[4][PACKS];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      loadPlace(x + start, window, i, height, width, lane, packsX[i]);
      loadPlace(y + start, window, i, height, width, lane, packsY[i]);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float scaleX = inverseLength(energyOf(packsX[i])), scaleY = inverseLength(energyOf(packsY[i]));
#pragma unroll
      for (int p = 0; p < PACKS; p++) {
        float a[8], b[8], w[8];
        unpack(packsX[i][p], a);
        unpack(packsY[i][p], b);
        loadFloats(weight + 8 * (lane + LANES * p), w);
#pragma unroll
        for (int k = 0; k < 8; k++) {
          const float difference = a[k] * scaleX - b[k] * scaleY;
          total += w[k] * difference * difference;
        }
      }
    }
#if POOLS
    storeLargest(smallX + smallStart, window, height, width, lane, packsX);
    storeLargest(smallY + smallStart, window, height, width, lane, packsY);
#endif
  }
  __shared__ float shared[WARPS];
  total = laneSum<32>(total);
  if (threadIdx.x % 32 == 0) shared[warp] = total;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < WARPS; i++) total += shared[i];
    parts[blockIdx.y * gridDim.x + blockIdx.x] = total / (static_cast<float>(height) * width);
  }
}

/// Gradient of x only, already 0 where x is not positive: x comes out of a rectifier, whose own backward pass this is.
extern "C" __global__ void __launch_bounds__(32 * WARPS)
    unit_distance_backward(const float* __restrict__ gradParts, const Element* __restrict__ gradSmall, const Element* __restrict__ x,
                           const Element* __restrict__ y, const float* __restrict__ weight, Element* __restrict__ gradX, int height,
                           int width) {
  const int lane = threadIdx.x % LANES, group = threadIdx.x % 32 / LANES, warp = threadIdx.x / 32;
  const long long start = static_cast<long long>(blockIdx.y) * height * width * C;
  const int windows = ((height + 1) / 2) * ((width + 1) / 2);
  const float scale = 2.0f * gradParts[blockIdx.y * gridDim.x + blockIdx.x] / (static_cast<float>(height) * width);
  for (int base = (blockIdx.x * WARPS + warp) * GROUPS; base < windows; base += gridDim.x * WARPS * GROUPS) {
    const Window window = windowAt(base + group, height, width);
    Pack packsX[4][PACKS], packsY[4][PACKS];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      loadPlace(x + start, window, i, height, width, lane, packsX[i]);
      loadPlace(y + start, window, i, height, width, lane, packsY[i]);
    }
#if POOLS
    // Which of the four places holds each element's largest: the first of equals, two bits an element.
    int winners[PACKS] = {};
    float fromSmall[PACKS][8] = {};
    if (window.isThere && window.row + 1 < height && window.column + 1 < width) {
      const long long place = (static_cast<long long>(blockIdx.y) * (height / 2) + window.row / 2) * (width / 2) + window.column / 2;
#pragma unroll
      for (int p = 0; p < PACKS; p++) {
        unpack(load(gradSmall + place * C + 8 * (lane + LANES * p)), fromSmall[p]);
        float largest[8];
        unpack(packsX[0][p], largest);
#pragma unroll
        for (int i = 1; i < 4; i++) {
          float a[8];
          unpack(packsX[i][p], a);
#pragma unroll
          for (int k = 0; k < 8; k++)
            if (a[k] > largest[k]) {
              largest[k] = a[k];
              winners[p] = (winners[p] & ~(3 << 2 * k)) | i << 2 * k;
            }
        }
      }
    }
#endif
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float energy = energyOf(packsX[i]);
      const float scaleX = inverseLength(energy), scaleY = inverseLength(energyOf(packsY[i]));
      float dot = 0;
#pragma unroll
      for (int p = 0; p < PACKS; p++) {
        float a[8], b[8], w[8];
        unpack(packsX[i][p], a);
        unpack(packsY[i][p], b);
        loadFloats(weight + 8 * (lane + LANES * p), w);
#pragma unroll
        for (int k = 0; k < 8; k++) dot += w[k] * (a[k] * scaleX - b[k] * scaleY) * a[k];
      }
      dot = laneSum<LANES>(dot);
      const float along = energy > 0 ? dot * scaleX * scaleX * rsqrtf(energy) : 0.0f;
      const int row = window.row + i / 2, column = window.column + i % 2;
      if (!window.isThere || row >= height || column >= width) continue;
#pragma unroll
      for (int p = 0; p < PACKS; p++) {
        float a[8], b[8], w[8];
        unpack(packsX[i][p], a);
        unpack(packsY[i][p], b);
        loadFloats(weight + 8 * (lane + LANES * p), w);
#pragma unroll
        for (int k = 0; k < 8; k++) {
          float grad = scale * (w[k] * (a[k] * scaleX - b[k] * scaleY) * scaleX - along * a[k]);
#if POOLS
          if ((winners[p] >> 2 * k & 3) == i) grad += fromSmall[p][k];
#endif
          b[k] = a[k] > 0 ? grad : 0.0f;
        }
        store(gradX + start + (static_cast<long long>(row) * width + column) * C + 8 * (lane + LANES * p), pack(b));
      }
    }
  }
}
