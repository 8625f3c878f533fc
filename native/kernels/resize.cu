// Planes [P, height, width] to [P, SIDE, SIDE], each number between four neighbours, then (x - 128) / 128. `rows` and `columns`:
// [SIDE] of the first neighbour, `down` and `across` how far it is to the second.
extern "C" __global__ void __launch_bounds__(256)
    resize(const float* __restrict__ x, const int* __restrict__ rows, const float* __restrict__ down, const int* __restrict__ columns,
           const float* __restrict__ across, float* __restrict__ out, int count, int height, int width) {
  for (int i = blockIdx.x * 256 + threadIdx.x; i < count; i += gridDim.x * 256) {
    const int row = i / SIDE % SIDE, column = i % SIDE;
    const int top = rows[row], bottom = min(top + 1, height - 1), left = columns[column], right = min(left + 1, width - 1);
    const float* plane = x + static_cast<long long>(i / (SIDE * SIDE)) * height * width;
    const float* high = plane + static_cast<long long>(top) * width;
    const float* low = plane + static_cast<long long>(bottom) * width;
    const float above = high[left] + (high[right] - high[left]) * across[column];
    const float below = low[left] + (low[right] - low[left]) * across[column];
    out[i] = (above + (below - above) * down[row] - 128.0f) / 128.0f;
  }
}
