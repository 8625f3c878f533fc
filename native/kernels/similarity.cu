// Structural similarity of pairs of planes [P, H, W], in float64: Gaussian windows of 11 x 11 along rows, then columns, of both,
// their squares and their product, and from these the similarity and its second factor, summed over a tile of windows.
// 8 bytes read for each place, nothing written but sums. MIRROR: a window a place, the border mirrored; else those within.
constexpr int kWindow = 11, kWide = 32, kHigh = 16;
constexpr int kRows = kHigh + kWindow - 1, kColumns = kWide + kWindow - 1;
constexpr int kEach = 4;  // windows of a row that a thread makes together

/// A place along a side, mirrored beyond its ends; beyond what a window needs, any within.
__device__ __forceinline__ int within(int place, int length) {
  if (MIRROR) place = place < 0 ? -place : place >= length ? 2 * length - 2 - place : place;
  return max(0, min(place, length - 1));
}

/// weights: the Gaussian [11]. parts: [P * down * across, 2]. A block has a tile of kHigh x kWide windows.
extern "C" __global__ void __launch_bounds__(256)
    similarity(const float* __restrict__ x, const float* __restrict__ y, const double* __restrict__ weights, double* __restrict__ parts, int height,
               int width, int down, int across) {
  __shared__ float raw[2][kRows][kColumns];
  __shared__ double rows[4][kRows][kWide];
  __shared__ double sums[2][256];
  const int thread = threadIdx.x, tile = blockIdx.x % (down * across);
  const int top = tile / across * kHigh, left = tile % across * kWide, border = MIRROR ? kWindow / 2 : 0;
  const long long plane = static_cast<long long>(blockIdx.x / (down * across)) * height * width;
  for (int i = thread; i < kRows * kColumns; i += 256) {
    const int r = i / kColumns, c = i % kColumns;
    const long long at = plane + static_cast<long long>(within(top + r - border, height)) * width + within(left + c - border, width);
    raw[0][r][c] = x[at];
    raw[1][r][c] = y[at];
  }
  double w[kWindow / 2 + 1];  // the other half is the same
#pragma unroll
  for (int k = 0; k <= kWindow / 2; k++) w[k] = weights[k];
  __syncthreads();
  for (int unit = thread; unit < kRows * (kWide / kEach); unit += 256) {
    const int r = unit / (kWide / kEach), first = unit % (kWide / kEach) * kEach;
    double made[4][kEach] = {};
#pragma unroll
    for (int i = 0; i < kEach + kWindow - 1; i++) {
      const double a = raw[0][r][first + i], b = raw[1][r][first + i];
      const double squares = a * a + b * b, product = a * b;
#pragma unroll
      for (int each = 0; each < kEach; each++) {
        const int k = i - each;
        if (k < 0 || k >= kWindow) continue;
        const double weight = w[k <= kWindow / 2 ? k : kWindow - 1 - k];
        made[0][each] += weight * a, made[1][each] += weight * b;
        made[2][each] += weight * squares, made[3][each] += weight * product;
      }
    }
#pragma unroll
    for (int kind = 0; kind < 4; kind++)
#pragma unroll
      for (int each = 0; each < kEach; each++) rows[kind][r][first + each] = made[kind][each];
  }
  __syncthreads();
  const int column = thread % kWide, first = thread / kWide * 2;
  double made[4][2] = {};
#pragma unroll
  for (int i = 0; i < kWindow + 1; i++)
#pragma unroll
    for (int kind = 0; kind < 4; kind++) {
      const double value = rows[kind][first + i][column];
#pragma unroll
      for (int each = 0; each < 2; each++) {
        const int k = i - each;
        if (k >= 0 && k < kWindow) made[kind][each] += w[k <= kWindow / 2 ? k : kWindow - 1 - k] * value;
      }
    }
  double whole = 0, structure = 0;
#pragma unroll
  for (int each = 0; each < 2; each++) {
    if (top + first + each + 2 * (kWindow / 2 - border) >= height || left + column + 2 * (kWindow / 2 - border) >= width) continue;
    constexpr double c1 = (0.01 * 255) * (0.01 * 255), c2 = (0.03 * 255) * (0.03 * 255);
    const double product = made[0][each] * made[1][each], squares = made[0][each] * made[0][each] + made[1][each] * made[1][each];
    const double second = (2 * (made[3][each] - product) + c2) / (made[2][each] - squares + c2);
    structure += second;
    whole += second * (2 * product + c1) / (squares + c1);
  }
  sums[0][thread] = whole;
  sums[1][thread] = structure;
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) sums[0][thread] += sums[0][thread + half], sums[1][thread] += sums[1][thread + half];
  }
  if (thread < 2) parts[2LL * blockIdx.x + thread] = sums[thread][0];
}
